// --- translators ---------------------------------------------------------------------------------------------------

function translatorPage() {
  const paints = facts.mask || facts.sketch;
  const task = facts.mask ? "Paint over what should go, then press the button." : facts.sketch ? "Draw dark lines, or drop a drawing." : "Drop a picture.";
  $("main").innerHTML = `
    <section><h2>${task}</h2>
      <div id="drop" tabindex="0" role="button">Drop a picture here, paste one, or click to choose a file<input type="file" id="file" accept="image/*" hidden></div>
      <div class="row" style="margin-top:.8rem">
        <button class="main" id="go" disabled>${facts.mask ? "Fill" : "Translate"}</button>
        <label>Longest side <select id="side"><option>256</option><option selected>512</option><option>1024</option><option>2048</option></select></label>
        ${paints ? `<label>Brush <input type="range" id="brush" min="1" max="80" value="${facts.sketch ? 2 : 24}"></label><button id="clear">Clear</button>` : ""}
        <button id="save" disabled>Save</button>
        <label id="comparing" hidden>Before and after <input type="range" id="compare" min="0" max="100" value="50"></label></div>
      <div id="stage"><canvas id="before" role="img" aria-label="Before"></canvas><canvas id="after" role="img" aria-label="After"></canvas><canvas id="paint" aria-hidden="true"></canvas><div id="divider" hidden></div></div>
    </section>`;
  const state = { image: null, result: false, busy: false, again: false, shown: 0, split: 0.5, last: null, down: false };
  const before = $("before"), after = $("after"), paint = $("paint"), stage = $("stage");

  function fit(width, height) {
    const factor = Math.min(1, Number($("side").value) / Math.max(width, height));
    const least = facts.smallest / Math.min(width * factor, height * factor);
    return [width, height].map((x) => Math.round(x * factor * Math.max(1, least)));
  }
  function show(source, width, height) {
    before.width = paint.width = width;
    before.height = paint.height = height;
    const pen = before.getContext("2d", { willReadFrequently: true });
    if (!source || facts.inputs < 4) { pen.fillStyle = "white"; pen.fillRect(0, 0, width, height); } // what is transparent lies on white
    if (source) pen.drawImage(source, 0, 0, width, height);
    state.shown += 1;
    stage.style.display = "block";
    stage.style.maxWidth = `${Math.max(width * facts.scale, 320)}px`;
    stage.classList.toggle("brush", paints);
    state.result = false;
    split();
    $("go").disabled = false;
  }
  async function open(file) {
    try {
      const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
      state.image = bitmap;
      show(bitmap, ...fit(bitmap.width, bitmap.height));
      say(`${before.width}x${before.height} px. ${task}`);
      if (!paints) await go();
    } catch (error) { say(`This file cannot be shown as a picture (${error.name || error}).`, true); }
  }
  function split() {
    after.style.display = state.result ? "block" : "none";
    $("divider").hidden = !state.result;
    after.style.clipPath = `inset(0 0 0 ${100 * state.split}%)`;
    $("divider").style.left = `${100 * state.split}%`;
    $("save").disabled = $("comparing").hidden = !state.result;
    $("compare").value = 100 * state.split;
  }
  async function go() {
    if (!before.width) return;
    if (state.busy) { state.again = true; return; } // another picture came meanwhile: it is next
    state.busy = true;
    const shown = state.shown;
    $("go").disabled = true;
    say("Working ...");
    await new Promise((resolve) => setTimeout(resolve, 30)); // let the words appear
    try {
      const image = before.getContext("2d").getImageData(0, 0, before.width, before.height);
      const mask = paint.getContext("2d").getImageData(0, 0, paint.width, paint.height);
      for (let p = 3; p < mask.data.length; p += 4) mask.data[p - 3] = mask.data[p] > 127 ? 255 : 0;
      const made = await translate(image, mask);
      if (shown !== state.shown) return; // this is no longer the picture that is shown
      put(after, made.image);
      if (facts.mask) paint.getContext("2d").clearRect(0, 0, paint.width, paint.height);
      state.result = true;
      state.split = facts.mask || facts.sketch ? 0 : 0.5;
      split();
      say(`${speed(1, made.ms)} ${paints ? "Move the slider" : "Drag over the picture"} to compare.`);
      $("status").dataset.ms = made.ms;
    } catch (error) { say(`That did not work: ${error}. Try a smaller longest side.`, true); } finally {
      state.busy = false;
      $("go").disabled = false;
      if (state.again) { state.again = false; await go(); }
    }
  }
  function place(event) {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }
  function stroke(x, y) {
    const target = facts.sketch ? before : paint, pen = target.getContext("2d");
    pen.strokeStyle = facts.sketch ? "black" : "rgb(224, 90, 50)";
    pen.lineWidth = Number($("brush").value) * target.width / stage.getBoundingClientRect().width;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...(state.last || [x, y]));
    pen.lineTo(x, y + 0.01);
    pen.stroke();
    state.last = [x, y];
  }
  function pointer(event) {
    if (!state.down) return;
    const [x, y] = place(event);
    if (paints) {
      if (state.result && facts.mask) { before.getContext("2d").drawImage(after, 0, 0); } // go on with what was filled
      state.result = false;
      split();
      stroke(x * before.width, y * before.height);
    } else { state.split = Math.max(0, Math.min(1, x)); split(); }
  }
  stage.onpointerdown = (event) => { state.down = true; state.last = null; stage.setPointerCapture(event.pointerId); pointer(event); };
  stage.onpointermove = pointer;
  stage.onpointerup = stage.onpointercancel = () => { const drawn = state.down && facts.sketch; state.down = false; if (drawn) go(); };
  $("compare").oninput = (event) => { state.split = event.target.value / 100; split(); };
  $("drop").onclick = () => $("file").click();
  $("drop").onkeydown = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $("file").click(); } };
  $("file").onclick = (event) => event.stopPropagation();
  $("file").onchange = (event) => event.target.files[0] && open(event.target.files[0]);
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.body.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", over);
      if (name === "drop" && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) open(file); });
  $("go").onclick = go;
  $("side").onchange = () => state.image && show(state.image, ...fit(state.image.width, state.image.height));
  $("save").onclick = () => download(after);
  if (paints) $("clear").onclick = () => {
    if (facts.sketch) show(null, before.width, before.height);
    else paint.getContext("2d").clearRect(0, 0, paint.width, paint.height);
  };
  if (facts.sketch) show(null, Math.max(256, facts.smallest), Math.max(256, facts.smallest));
  say(`The model is ready. ${task}`);
}
