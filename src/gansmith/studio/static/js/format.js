// Numbers, times and names for people.
import { h } from "./dom.js";
import { has, number, t, tOr } from "./i18n.js";

export const count = (n) => {
  if (n === null || n === undefined) return "-";
  const size = Math.abs(n);
  if (size >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(n / 1e6).toFixed(size >= 1e7 ? 1 : 2)} M`;
  if (size >= 1e4) return `${(n / 1e3).toFixed(size >= 1e5 ? 0 : 1)} k`;
  return Number.isInteger(n) ? number(n) : decimals(n);
};
export const decimals = (n) => (n === null || n === undefined ? "-" : Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1) : Math.abs(n) >= 0.01 || n === 0 ? n.toFixed(3) : n.toExponential(1));
export const duration = (s) => {
  if (s === null || s === undefined || !Number.isFinite(s)) return "-";
  if (s < 90) return t("format.seconds", { n: Math.round(s) });
  if (s < 600) return t("format.minutesSeconds", { m: Math.floor(s / 60), s: Math.round(s % 60) });
  if (s < 5400) return t("format.minutes", { n: Math.round(s / 60) });
  return t("format.hours", { h: Math.floor(s / 3600), m: Math.round((s % 3600) / 60) });
};
export const bytes = (n) => (n >= 1 << 30 ? `${(n / (1 << 30)).toFixed(1)} GB` : n >= 1 << 20 ? `${(n / (1 << 20)).toFixed(0)} MB` : `${Math.max(1, Math.round(n / 1024))} KB`);
/** How long ago, in words. */
export const ago = (seconds) => (seconds < 60 ? t("format.justNow") : t("format.ago", { time: seconds < 86400 * 2 ? duration(seconds) : t("format.days", { n: Math.round(seconds / 86400) }) }));
/** The page where a run's model is used. */
export const pageOf = (run) => (run.translates ? "repair" : "play");
export const shortName = (id) => id.replace(/^runs\//, "");
/** What a setting is called: in the page's language, else its name as words. */
export const spoken = (name) => {
  const text = name.replaceAll("_", " ");
  return tOr(`setting.${name}`, /^(lr|ema|beta\d?)\b/.test(text) ? text : text[0].toUpperCase() + text.slice(1));
};
/** The same with the name that it has in a terminal, where that is another. */
export const labelled = (name) => (has(`setting.${name}`) ? [spoken(name), " ", h("small", { class: "muted", lang: "en" }, name)] : spoken(name));
/** A setting's value that is one of several. */
export const chosen = (value) => (typeof value === "boolean" ? t(value ? "form.yes" : "form.no") : tOr(`choice.${value}`, String(value)));
