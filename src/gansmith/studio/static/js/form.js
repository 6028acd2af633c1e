// A form from a typed config: one control per setting, its docstring as help, what was changed marked.
import { h } from "./dom.js";
import { chosen, labelled, spoken } from "./format.js";
import { number, t } from "./i18n.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Controls for fields. values() gives only what differs from the defaults; what is typed is kept in `draft`, by name. */
export function form(fields, draft) {
  const controls = new Map();
  const rows = fields.map((field) => {
    const row = h("div", { class: "setting", "data-name": field.name });
    const id = `setting-${field.name}`;
    const control = control_(field, () => { draft.set(field.name, raw()); row.dataset.by = "hand"; look(); });
    control.id = id;
    const raw = () => (field.kind === "switch" ? control.checked : control.value);
    const show = (value) => {
      if (field.kind === "switch") control.checked = value;
      else control.value = asText(field, value);
      look();
    };
    const problem = h("p", { class: "problem", id: `${id}-problem`, hidden: true });
    const look = () => {
      mark("");
      try { row.classList.toggle("changed", !same(read(), field.default)); } catch { row.classList.add("changed"); }
    };
    /** Say what is wrong with this field, right below it. */
    const mark = (text) => {
      problem.hidden = !text;
      problem.textContent = text;
      control.setAttribute("aria-invalid", String(Boolean(text)));
      if (text) control.setAttribute("aria-describedby", problem.id);
      else control.removeAttribute("aria-describedby");
    };
    const read = () => parsed(field, raw());
    control.addEventListener("blur", () => { try { read(); } catch (error) { mark(error.message); } });
    if (field.kind === "switch") row.append(h("label", { class: "switch" }, control, h("span", {}, labelled(field.name))), problem, help(field));
    else row.append(h("label", { class: "field", htmlFor: id }, h("span", { class: "label" }, labelled(field.name))), control, problem, help(field));
    controls.set(field.name, { read, field, row, mark, show, control });
    if (draft.has(field.name)) { // typed before another family was chosen
      const kept = draft.get(field.name);
      if (field.kind === "switch") control.checked = kept === true;
      else if (field.kind !== "choice" || field.choices.map(String).includes(kept)) control.value = kept;
      row.dataset.by = "hand";
    }
    look();
    return row;
  });

  const values = () => {
    const found = {};
    for (const [name, { read, field, mark }] of controls) {
      let value;
      try { value = read(); } catch (error) { mark(error.message); throw Object.assign(error, { told: { fields: [name] } }); }
      if (!same(value, field.default)) found[name] = value;
    }
    return found;
  };
  return {
    rows, values, controls,
    has: (name) => controls.has(name),
    /** Fill in a value that the data suggests: it goes away again when the data does. */
    suggest(name, value) {
      const control = controls.get(name);
      if (!control || control.row.dataset.by === "hand") return;
      control.show(value ?? control.field.default);
      control.row.dataset.by = value === undefined ? "" : "data";
    },
    /** Set a value as if it had been typed. */
    set(name, value) {
      const control = controls.get(name);
      if (!control) return;
      control.show(value);
      draft.set(name, control.field.kind === "switch" ? control.control.checked : control.control.value);
      control.row.dataset.by = "hand";
    },
  };
}

/** What a setting is for, and what its number counts and may be. */
function help(field) {
  const bounds = field.unit && field.range ? t("form.both", { unit: field.unit, range: field.range }) : field.unit || field.range;
  return h("p", { class: "help" }, field.help, bounds ? h("span", { class: "range" }, t("form.bounds", { bounds })) : "");
}

function asText(field, value) {
  if (Array.isArray(value)) return value.join(" ");
  if (field.stands_for && value === field.default) return "";
  return value === null || value === undefined ? "" : String(value);
}

function control_(field, changed) {
  if (field.kind === "switch") return h("input", { type: "checkbox", role: "switch", checked: field.default, onchange: changed });
  if (field.kind === "choice") return h("select", { class: "select", onchange: changed }, field.choices.map((c) => h("option", { value: String(c), selected: c === field.default }, chosen(c))));
  const counts = field.kind === "integer" || field.kind === "number";
  return h("input", { class: counts ? "input number" : "input", inputMode: field.kind === "integer" ? "numeric" : counts ? "decimal" : "text", value: asText(field, field.default),
    placeholder: field.stands_for ? t(`form.${field.stands_for}`) : "", autocomplete: "off", spellcheck: false, oninput: changed });
}

function parsed(field, raw) {
  if (field.kind === "switch") return raw;
  if (field.kind === "choice") return field.choices.find((c) => String(c) === raw);
  const text = raw.trim();
  if (field.kind === "list") return text.split(/\s+/).filter(Boolean);
  if (text === "") return field.default;
  if (field.kind !== "integer" && field.kind !== "number") return text;
  const value = Number(text.replace(",", "."));
  if (!Number.isFinite(value)) throw new Error(t("form.noNumber", { name: spoken(field.name), text }));
  if (field.kind === "integer" && !Number.isInteger(value)) throw new Error(t("form.noInteger", { name: spoken(field.name), text }));
  return value;
}

/** How a setting's value is shown: "automatic" and "off" in words. */
export function shown(field, value) {
  if (field?.stands_for && value === field.default) return t(`form.${field.stands_for}`);
  if (value === undefined || value === null || value === "") return "-";
  if (typeof value === "boolean" || field?.kind === "choice") return chosen(value);
  if (typeof value === "number") return Number.isInteger(value) ? number(value) : String(Number(value.toPrecision(4)));
  return Array.isArray(value) ? value.join(" ") : String(value);
}
