// Building the page: elements, icons, messages.
import { t } from "./i18n.js";

/** An element: h("p", {class: "muted", onclick: f}, "text", child, [more]) */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style") for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

const nameOf = (element) => element.dataset.role || element.getAttribute("aria-label") || element.dataset.run || element.textContent;

/** Like fill, for what is drawn again while somebody may be in it: the focus stays on the control of the same name. */
export function refill(element, ...children) {
  const name = element.contains(document.activeElement) && nameOf(document.activeElement);
  fill(element, ...children);
  if (name) [...element.querySelectorAll("button, a, input")].find((other) => nameOf(other) === name)?.focus({ preventScroll: true });
}

const PATHS = {
  data: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.600 3-8 3-8-1.300-8-3zM4 6v6c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12v6c0 1.700 3.600 3 8 3s8-1.300 8-3v-6",
  train: "M3 17l5-6 4 3 5-8 4 4M3 21h18",
  play: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM16.500 13v7M13 16.500h7",
  repair: "M4 20l4-1L19 8a2.100 2.100 0 0 0-3-3L5 16zM14 7l3 3M4 4h5M6.500 1.500v5",
  models: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  understand: "M9 18h6M10 21h4M12 3a6.500 6.500 0 0 0-4 11.600c.600.500 1 1.200 1 2V17h6v-.400c0-.800.400-1.500 1-2A6.500 6.500 0 0 0 12 3z",
  runs: "M4 6h10M4 12h16M4 18h7M18 4v4M9 10v4M15 16v4",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  download: "M12 4v12M7 11l5 5 5-5M4 20h16",
  folder: "M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z",
  dice: "M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM9 9h.010M15 9h.010M9 15h.010M15 15h.010M12 12h.010",
  stop: "M6 6h12v12H6z",
  start: "M7 4.500v15l12-7.500z",
  pause: "M8 5v14M16 5v14",
  step: "M6 5v14l9-7zM18 5v14",
  again: "M4 12a8 8 0 1 0 2.500-5.800M4 4v4h4",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  pen: "M4 20l1-4L16 5l3 3L8 19z",
  check: "M5 13l4 4L19 7",
  alert: "M12 4l9 16H3zM12 10v4M12 17h.010",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8h.010",
  heart: "M3 12h4l2-5 4 10 2-5h6",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1.100 1.100M17.300 17.300l1.100 1.100M5.600 18.400l1.100-1.100M17.300 6.700l1.100-1.100",
  moon: "M20 14a8 8 0 1 1-10-10 6.500 6.500 0 0 0 10 10z",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15.500 9.500h.010",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.700h4M4 14.300h4M16 9.700h4M16 14.300h4",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 21h4M12 5V3",
  more: "M6 12h.010M12 12h.010M18 12h.010",
  close: "M6 6l12 12M18 6L6 18",
  globe: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c5 5.500 5 12.500 0 18M12 3c-5 5.500-5 12.500 0 18",
  undo: "M8 5L4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "M16 5l4 4-4 4M20 9H10a6 6 0 0 0 0 12h3",
  hand: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  eraser: "M4 16L14 6l6 6-8 8H8zM9 11l6 6M12 20h8",
  box: "M4 4h4M4 4v4M20 4h-4M20 4v4M4 20h4M4 20v-4M20 20h-4M20 20v-4",
  invert: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 3v18a9 9 0 0 0 0-18z",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  paste: "M9 4h6v3H9zM9 5H5v16h14V5h-4M9 12h6M9 16h6",
  star: "M12 3.500l2.600 5.500 6 .800-4.400 4.200 1.100 6L12 17.100 6.700 20l1.100-6L3.400 9.800l6-.800z",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.010",
  up: "M6 15l6-6 6 6",
  down: "M6 9l6 6 6-6",
  compass: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM15.500 8.500l-2 5-5 2 2-5z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
};

/** An inline icon; decorative, so hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export const button = (text, onclick, { kind = "", symbol = null, ...more } = {}) =>
  h("button", { type: "button", class: `button ${kind}`, onclick, ...more }, symbol && icon(symbol), text);

/** A square button with an icon and a name for screen readers. */
export const iconButton = (name, symbol, onclick, kind = "quiet") =>
  h("button", { type: "button", class: `button only ${kind}`, onclick, title: name, "aria-label": name }, icon(symbol));

/** A slider that shows its value. */
export function slider(name, { min, max, step, value, show = (v) => v, oninput, help }) {
  const output = h("output", {}, show(value));
  const input = h("input", { type: "range", min, max, step, value, "aria-label": name });
  const paint = () => input.style.setProperty("--fill", `${((input.value - min) / (max - min || 1)) * 100}%`);
  input.addEventListener("input", () => {
    output.textContent = show(Number(input.value));
    paint();
    oninput?.(Number(input.value));
  });
  paint();
  const element = h("div", { class: "slider" }, h("span", { class: "row" }, h("span", { class: "label" }, name), output), input, help && h("span", { class: "help" }, help));
  element.set = (v) => { input.value = v; output.textContent = show(Number(input.value)); paint(); };
  element.range = (low, high) => { input.min = min = low; input.max = max = high; paint(); };
  element.input = input;
  return element;
}

/** A row of choices, one of which is on. */
export function segments(name, options, value, onchange) {
  const element = h("div", { class: "segments", role: "group", "aria-label": name });
  const draw = (chosen) => refill(element, options.map(([key, text, title]) =>
    h("button", { type: "button", "aria-pressed": String(key === chosen), title, onclick: () => { draw(key); onchange(key); } }, text)));
  draw(value);
  element.set = draw;
  return element;
}

export function select(name, options, value, onchange) {
  return h("select", { class: "select", "aria-label": name, onchange: (event) => onchange?.(event.target.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
}

export const field = (name, control, help) =>
  h("label", { class: "field" }, h("span", { class: "label" }, name), control, help && h("span", { class: "help" }, help));

export const chip = (kind, text = kind) => h("span", { class: `chip ${kind}` }, text);

export const empty = (symbol, title, text, ...actions) =>
  h("div", { class: "empty" }, icon(symbol), h("h2", {}, title), h("p", {}, text), actions);

export const note = (kind, symbol, ...children) => h("div", { class: `note ${kind}` }, icon(symbol), h("div", { class: "grow" }, children));

/** A message that goes away by itself; an action can be taken meanwhile. */
export function toast(text, kind = "", action = null) {
  const element = h("div", { class: `toast ${kind}` }, h("span", { class: "grow" }, text));
  const gone = () => element.remove();
  if (action) element.append(h("button", { type: "button", onclick: () => { gone(); action[1](); } }, action[0]));
  document.querySelector(".toasts").append(element);
  setTimeout(gone, action || kind === "bad" ? 9000 : 4000);
}

/** Show what went wrong, unless the banner says already that the server is gone. */
export function trouble(error) {
  if (!error.gone && error.name !== "AbortError") toast(error.message, "bad");
}

/** Ask before something is done. Resolves to the text entered, true, or null. */
export function ask(title, text, { confirm = t("ask.ok"), danger = false, value = null } = {}) {
  return new Promise((resolve) => {
    const input = value === null ? null : h("input", { class: "input", value, "aria-label": title, maxLength: 64 });
    const dialog = h("dialog", { "aria-label": title, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes" ? (input ? input.value.trim() : true) : null); } },
      h("form", { method: "dialog" }, h("h2", {}, title), text && h("p", { class: "muted" }, text), input,
        h("div", { class: "row", style: { "justify-content": "end" } },
          h("button", { class: "button quiet", value: "no", formNoValidate: true }, t("ask.cancel")),
          h("button", { class: `button ${danger ? "danger" : "primary"}`, value: "yes", autofocus: !input }, confirm))));
    input?.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); dialog.close("yes"); }
    });
    document.body.append(dialog);
    dialog.showModal();
    input?.select();
  });
}

export function debounce(wait, function_) {
  let timer;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => function_(...given), wait); };
}

/** Runs one call at a time; of calls made meanwhile only the last is run after it. */
export function latest(function_) {
  let busy = false;
  let next = null;
  return async function run(...given) {
    if (busy) { next = given; return; }
    busy = true;
    try { await function_(...given); } finally {
      busy = false;
      if (next) { const again = next; next = null; run(...again); }
    }
  };
}

/** Call again and again while the page is visible (or `always`), every so many seconds (a number, or how to find it); returns how to stop. */
export function poll(seconds, function_, { always = false } = {}) {
  let stopped = false;
  let busy = false;
  let timer;
  const tick = async () => {
    if (stopped || busy) return;
    busy = true;
    clearTimeout(timer);
    if (always || !document.hidden) { try { await function_(); } catch { /* the next tick tries again */ } }
    busy = false;
    if (!stopped) timer = setTimeout(tick, 1000 * (typeof seconds === "function" ? seconds() : seconds));
  };
  const seen = () => { if (!document.hidden) tick(); };
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("studioback", tick);
  tick();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("studioback", tick);
  };
}

/** Save a blob as a file. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
