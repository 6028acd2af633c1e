// Repair & translate: a picture in, a mask painted where the model wants one, and the result beside it.
import { address, get, post, upload } from "../api.js";
import { Brush } from "../brush.js";
import { compare } from "../compare.js";
import { button, chip, empty, field, fill, h, icon, note, segments, select, shortName, slider, toast } from "../dom.js";

const SAYS = {
  inpaint: "Paint over what should go. Everything else stays as it is, bit for bit.",
  upscale: "The picture is enlarged, with detail that the model has learned to expect.",
  colorize: "Colour is taken out and put back by the model; light and dark stay as they are.",
  sketch: "A drawing becomes a picture. Drop a photograph and let its edges be drawn first, or drop a drawing.",
  cyclegan: "The picture is carried over to the other side the model has learned.",
  pix2pix: "The picture is translated the way the model’s pairs show.",
};
const source = (id) => address("/api/repair/picture", { id });

export async function open(main, query) {
  const body = h("div");
  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, "Repair and translate"), h("p", {}, "Fill holes, enlarge, colour, turn one kind of picture into another: with a model that has learned to undo the damage."))), body);
  const models = (await get("/api/models")).filter((run) => run.translates);
  if (!models.length) {
    fill(body, h("div", { class: "card" }, empty("repair", "No model that repairs yet", "Train one of inpaint, upscale, colorize, sketch, pix2pix or cyclegan on a folder of photographs. Any folder will do: the damage is made while training.",
      h("a", { class: "button primary", href: "#/train?family=inpaint" }, icon("train"), "Train inpaint"))));
    return null;
  }
  let model = models.find((run) => run.id === query.get("model")) || models[0];
  let facts = null;
  let picture = null;
  let brush = null;
  let direction = "ab";
  let edges = true;
  const side = h("div", { class: "card stack" });
  const stage = h("div", { class: "stack" });
  fill(body, h("div", { class: "split" }, side, stage));

  const input = h("input", { type: "file", accept: "image/*", hidden: true, "data-role": "picture", onchange: () => input.files[0] && take(input.files[0]) });
  const drop = h("div", { class: "drop tall" }, icon("picture"), h("h2", {}, "Drop a picture here"), h("p", { class: "help" }, "JPEG, PNG, WebP, BMP, TIFF or GIF, up to 64 MB and 16 million pixels. It stays on this machine."), button("Choose a file", () => input.click(), { symbol: "upload" }), input);
  for (const [name, on] of [["dragover", true], ["dragleave", false]]) stage.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", on); });
  stage.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });

  async function take(file) {
    try { picture = await upload("/api/upload/picture", { name: file.name }, file); draw(); } catch (error) { toast(error.message, "bad"); }
  }

  const modelField = () => field("Model", select("Model", models.map((run) => [run.id, shortName(run.id)]), model.id, choose));

  async function choose(id) {
    model = models.find((run) => run.id === id);
    let found;
    try { found = await get("/api/model", { model: id }); } catch (error) { found = error; }
    if (model.id !== id) return; // another one was chosen while this came
    if (found instanceof Error) {
      fill(side, modelField());
      fill(stage, h("div", { class: "card" }, empty("alert", "This model cannot be used", found.message)));
      return;
    }
    facts = found;
    direction = facts.directions[0];
    draw();
  }

  function draw() {
    const masked = facts.takes_mask && picture;
    brush = masked ? new Brush(picture.width, picture.height) : null;
    const go = button({ inpaint: "Fill it in", upscale: `Enlarge x${facts.scale}`, colorize: "Colour it", sketch: "Make it a picture" }[model.family] || "Translate", () => apply(go), { kind: "primary wide", symbol: "repair", disabled: !picture });
    fill(side,
      modelField(),
      h("div", { class: "row wrap" }, chip("plain", facts.family), facts.scale > 1 && chip("plain", `x${facts.scale}`)),
      h("p", { class: "help" }, SAYS[model.family]),
      facts.directions.length > 1 && h("div", { class: "field" }, h("span", { class: "label" }, "Direction"), segments("Direction", [["ab", "A to B"], ["ba", "B to A"]], direction, (v) => { direction = v; })),
      model.family === "sketch" && h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: edges, onchange: (event) => { edges = event.target.checked; } }), "Draw the edges of a photograph first"),
      masked && slider("Brush", { min: 2, max: Math.round(Math.min(picture.width, picture.height) / 3), step: 1, value: brush.size, show: (v) => `${v} px`, oninput: (v) => { brush.size = v; } }),
      masked && h("div", { class: "row wrap" }, segments("Tool", [["paint", "Paint"], ["erase", "Erase"]], "paint", (v) => { brush.erase = v === "erase"; }), button("Clear", () => brush.clear(), { kind: "slim quiet", symbol: "again" })),
      go, picture && button("Another picture", () => { picture = null; draw(); }, { kind: "quiet wide", symbol: "upload" }));
    if (!picture) return fill(stage, drop);
    return fill(stage, h("div", { class: "card stack" }, h("div", { class: "row between" }, h("h2", {}, brush ? "Paint over what should go" : "Your picture"), h("span", { class: "small muted number" }, `${picture.width} x ${picture.height}`)),
      h("div", { class: "canvas", style: { "--ratio": picture.width / picture.height } }, h("img", { src: source(picture.id), alt: "Your picture", draggable: false }), brush?.canvas)), h("div", { class: "result stack" }));
  }

  async function apply(go) {
    if (brush && !brush.painted) return toast("Paint over what should go first.");
    const place = stage.querySelector(".result");
    fill(place, h("div", { class: "card" }, h("div", { class: "bar waiting" }, h("i"))));
    go.disabled = true;
    try {
      const made = await post("/api/repair/apply", { model: model.id, picture: picture.id, direction, edges: model.family === "sketch" && edges, ...(brush ? { mask: brush.url() } : {}) });
      fill(place, h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", {}, "Before and after"), h("span", { class: "small muted number" }, `${made.width} x ${made.height} in ${made.seconds} s`)),
        compare(source(model.family === "sketch" ? made.given : picture.id), source(made.id), made.width / made.height),
        h("div", { class: "row wrap" }, h("a", { class: "button primary", href: source(made.id), download: `gansmith-${model.family}.png` }, icon("download"), "Download"),
          button("Go on from the result", () => { picture = { id: made.id, width: made.width, height: made.height }; draw(); }, { symbol: "again" }))));
      place.scrollIntoView({ behavior: "smooth", block: "nearest" });
    } catch (error) { fill(place, h("div", { class: "card" }, note("bad", "alert", error.message))); } finally { go.disabled = false; }
    return undefined;
  }
  await choose(model.id);
  return null;
}
