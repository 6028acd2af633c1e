// Buttons that do what a message says can be done.
import { link } from "./address.js";
import { button, h, icon } from "./dom.js";
import { chosen, spoken } from "./format.js";
import { t } from "./i18n.js";

/** What a cure changes, in words. */
export const inWords = (cure) => [cure.family && t("cure.family", { name: cure.family }), ...Object.entries(cure.set || {}).map(([name, value]) => (value === true ? spoken(name) : `${spoken(name)} ${chosen(value)}`))].filter(Boolean).join(", ");

/**
 * @param {object[]} cures as the server gives them: {set}, {family} or {page}.
 * @param {(cure) => void} apply what a button does.
 * @param {string} key the words around the change: cure.with ("Start with {what}") or cure.again ("Start again with {what}").
 */
export function cureButtons(cures, apply, key = "cure.with") {
  if (!cures?.length) return null;
  return h("div", { class: "row wrap cures" }, cures.map((cure) => (cure.page
    ? h("a", { class: "button slim", href: link("runs", { trash: 1 }) }, icon("trash"), t("cure.trash"))
    : button(t(key, { what: inWords(cure) }), () => apply(cure), { kind: "slim", symbol: "check" }))));
}
