// What is chosen on a page stands in its address, so that a reload, a bookmark and a link show the same.

/** The page and what is chosen on it: ["runs", URLSearchParams]. */
export function read() {
  const [, name = "", query = ""] = location.hash.match(/^#\/(\w+)(?:\?(.*))?$/) || [];
  return [name, new URLSearchParams(query)];
}

/** Keep choices in the address. null, undefined, "" and false take one away. `push` makes Back undo it. */
export function keep(choices, { push = false } = {}) {
  const [name, query] = read();
  if (!name && !document.querySelector("main")?.dataset.page) return;
  for (const [key, value] of Object.entries(choices)) {
    if (value === null || value === undefined || value === "" || value === false) query.delete(key);
    else query.set(key, value === true ? "1" : String(value));
  }
  // commas and slashes are allowed there, and such addresses can be read
  const words = query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%3A", ":");
  const next = `#/${name || document.querySelector("main").dataset.page}${words ? `?${words}` : ""}`;
  if (next === location.hash) return;
  history[push ? "pushState" : "replaceState"](null, "", next);
}

/** A number from the address, within limits, or what is usual. */
export function numeric(query, name, usual, low = -Infinity, high = Infinity) {
  const text = query.get(name);
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isFinite(value) && value >= low && value <= high ? value : usual;
}

/** A link to a page with choices. */
export function link(page, choices = {}) {
  const query = new URLSearchParams(Object.entries(choices).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const words = query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("%3A", ":");
  return `#/${page}${words ? `?${words}` : ""}`;
}
