// The game that the Understand page shows, as the server plays it. A lesson on a page of its own has teach/toy.js in this place.
import { get, post, postFile } from "./api.js";
import { save } from "./dom.js";
import { language } from "./i18n.js";

export const offline = false;
export const start = (wish) => post("/api/toy/start", wish);
export const frame = (id) => get("/api/toy/frame", { id });
export const control = (id, action, steps = 5) => post("/api/toy/control", { id, action, steps });
/** The lesson as one page for a class, in the language that is spoken here. */
export const teach = async (asked, points) => save(await postFile("/api/toy/lesson", { language: language(), asked, points }), `gan-lesson-${language()}.html`);
