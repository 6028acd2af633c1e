// A form from a typed config: one control per setting, its docstring as help, what was changed marked.
import { h } from "./dom.js";

const spoken = (name) => {
  const text = name.replaceAll("_", " ");
  return /^(lr|ema|beta\d?)\b/.test(text) ? text : text[0].toUpperCase() + text.slice(1);
};

/** Controls for fields; values() gives only what differs from the defaults. */
export function form(fields) {
  const controls = new Map();
  const rows = fields.map((field) => {
    const row = h("div", { class: "setting", "data-name": field.name });
    const changed = () => {
      try { row.classList.toggle("changed", JSON.stringify(read()) !== JSON.stringify(field.default)); } catch { row.classList.add("changed"); }
    };
    let control;
    let read;
    if (field.kind === "switch") {
      control = h("input", { type: "checkbox", role: "switch", checked: field.default, onchange: changed });
      read = () => control.checked;
      row.append(h("label", { class: "switch" }, control, spoken(field.name)), h("p", { class: "help" }, field.help));
    } else {
      if (field.kind === "choice") {
        control = h("select", { class: "select", onchange: changed }, field.choices.map((c) => h("option", { value: c, selected: c === field.default }, c)));
        read = () => field.choices.find((c) => String(c) === control.value);
      } else if (field.kind === "integer" || field.kind === "number") {
        control = h("input", { class: "input number", inputMode: field.kind === "integer" ? "numeric" : "decimal", value: String(field.default), autocomplete: "off", oninput: changed });
        read = () => {
          const text = control.value.trim().replace(",", ".");
          const value = text === "" ? field.default : Number(text);
          const wrong = !Number.isFinite(value) || (field.kind === "integer" && !Number.isInteger(value));
          control.setAttribute("aria-invalid", String(wrong));
          if (wrong) throw new Error(`${spoken(field.name)}: "${text}" is not a ${field.kind === "integer" ? "whole " : ""}number.`);
          return value;
        };
      } else {
        control = h("input", { class: "input", value: Array.isArray(field.default) ? field.default.join(" ") : field.default ?? "", autocomplete: "off", oninput: changed });
        read = () => (field.kind === "list" ? control.value.trim().split(/\s+/).filter(Boolean) : control.value.trim() === "" ? field.default : control.value.trim());
      }
      row.append(h("label", { class: "field" }, h("span", { class: "label" }, spoken(field.name)), control, h("span", { class: "help" }, field.help)));
    }
    control.addEventListener("blur", () => { try { read(); } catch { /* shown when it is used */ } });
    controls.set(field.name, { read, field });
    return row;
  });
  const values = () => {
    const found = {};
    for (const [name, { read, field }] of controls) {
      const value = read();
      if (JSON.stringify(value) !== JSON.stringify(field.default)) found[name] = value;
    }
    return found;
  };
  return { rows, values };
}
