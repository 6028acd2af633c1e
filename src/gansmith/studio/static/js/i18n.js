// The page's words: one file per language, chosen by the browser or by hand. t("runs.title") gives the text of that key.

export const LANGUAGES = { en: "English", zh: "简体中文" };
const STORED = "gansmith-language";
let words = {};
let code = "en";
let plural = new Intl.PluralRules("en");

function wished() {
  try {
    const kept = localStorage.getItem(STORED);
    if (kept in LANGUAGES) return kept;
  } catch { /* storage may be switched off */ }
  for (const name of navigator.languages || [navigator.language || "en"]) {
    const short = name.toLowerCase().split("-")[0];
    if (short in LANGUAGES) return short;
  }
  return "en";
}

export const language = () => code;
/** What Intl and the lang attribute call it. */
export const locale = () => (code === "zh" ? "zh-Hans" : code);

/** Load the words of a language; of the one that the browser or the last visit asks for where none is given. */
export async function loadWords(asked = wished()) {
  const answer = await fetch(`/words/${asked}.json`);
  if (!answer.ok) throw new Error(`The words of ${LANGUAGES[asked]} could not be loaded (${answer.status}).`);
  useWords(await answer.json(), asked);
}

/** Speak with these words from here on. */
export function useWords(found, asked) {
  words = found;
  code = asked;
  plural = new Intl.PluralRules(locale());
  document.documentElement.lang = locale();
}

/** Change the language for good. */
export async function chooseLanguage(next) {
  await loadWords(next);
  try { localStorage.setItem(STORED, next); } catch { /* storage may be switched off */ }
}

/** The text of a key, with {name} replaced; where it has forms for one and many, `n` decides. */
export function t(key, given = {}) {
  let text = words[key];
  if (text && typeof text === "object") text = text[plural.select(given.n)] ?? text.other;
  if (text === undefined) return key; // a test looks for these
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in given ? (typeof given[name] === "number" ? number(given[name]) : given[name]) : whole));
}

/** The text of a key if there is one, else what the server calls it. */
export const tOr = (key, otherwise) => (has(key) ? t(key) : otherwise);
export const has = (key) => Object.hasOwn(words, key);

export const number = (value, options) => value.toLocaleString(locale(), options);
