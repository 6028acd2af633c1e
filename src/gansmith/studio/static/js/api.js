// Talking to the studio's server. Every error becomes an Error with the server's own words.
import { language, t } from "./i18n.js";

async function answered(promise) {
  let answer;
  try { answer = await promise; } catch (error) {
    if (error.name === "AbortError") throw error;
    window.dispatchEvent(new Event("studiogone"));
    throw Object.assign(new Error(t("frame.gone")), { gone: true });
  }
  if (answer.status === 401) { location.replace(`/login${location.hash}`); throw new Error(t("frame.signIn")); }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(told.error || t("frame.answered", { status: String(answer.status) })), { status: answer.status, told });
  }
  return answer;
}

const headers = (more = {}) => ({ "X-Gansmith": "studio", "Accept-Language": language(), ...more });
export const address = (path, query = {}) => {
  const words = new URLSearchParams(query).toString();
  return words ? `${path}?${words}` : path;
};

export const get = async (path, query) => (await answered(fetch(address(path, query), { headers: headers() }))).json();

const send = (path, body, signal) => answered(fetch(path, {
  method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body), signal,
}));

export const post = async (path, body = {}, signal) => (await send(path, body, signal)).json();

/** A request that is answered with a file. */
export const postFile = async (path, body) => (await send(path, body)).blob();

/** Pictures laid out in one PNG: {bitmap, columns, count, width, height}. */
export async function postSheet(path, body) {
  const answer = await send(path, body);
  const [width, height] = answer.headers.get("X-Tile").split("x").map(Number);
  const bitmap = await createImageBitmap(await answer.blob());
  return { bitmap, width, height, columns: Number(answer.headers.get("X-Columns")), count: Number(answer.headers.get("X-Count")) };
}

/** Upload one file as it is. */
export const upload = async (path, query, file) =>
  (await answered(fetch(address(path, query), { method: "POST", headers: headers(), body: file }))).json();
