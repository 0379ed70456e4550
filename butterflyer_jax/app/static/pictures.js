// Photographs: taken in, identified a few at a time, shown, and what a visitor says of their names.
import { element, getJson, make, percent, plain } from "./common.js";

const AT_ONCE = 4;
// How often a service that is busy is asked.
const TRIES = 20;

const KINDS = "JPEG, PNG, WebP, BMP, GIF and TIFF are read; save another kind, such as HEIC, as JPEG.";

export function startPictures(about, onShown) {
  const pictures = [];
  const waiting = [];
  let running = 0;
  let shown = null;

  for (const id of ["choose", "camera"]) {
    element(id).addEventListener("change", (event) => {
      take(event.target.files);
      // Or the same file could not be chosen again.
      event.target.value = "";
    });
  }
  const drop = element("drop");
  for (const type of ["dragenter", "dragover"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const type of ["dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      if (type === "drop" || event.relatedTarget === null) drop.classList.remove("over");
    });
  }
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });

  function take(files) {
    const found = [...files].filter((file) => !file.type || file.type.startsWith("image/"));
    notice(found.length < files.length ? "Only pictures can be named." : "");
    const added = found.map((file) => new Picture(file, show));
    for (const picture of added) {
      pictures.push(picture);
      waiting.push(picture);
      element("strip").append(picture.button);
    }
    element("strip").hidden = pictures.length < 2;
    count();
    if (added.length) show(added[0]);
    next();
  }

  function count() {
    const done = pictures.filter((picture) => picture.answer || picture.error).length;
    element("count").hidden = pictures.length < 2;
    element("count").textContent =
      done < pictures.length ? `${done} of ${pictures.length} photographs` : `${done} photographs`;
  }

  element("again").addEventListener("click", () => {
    shown.forget();
    waiting.push(shown);
    show(shown);
    // The button is gone.
    element("name").focus();
    next();
  });

  function next() {
    while (running < AT_ONCE && waiting.length) {
      const picture = waiting.shift();
      running += 1;
      picture.identify(about).then(() => {
        running -= 1;
        count();
        if (picture === shown) show(picture);
        next();
      });
    }
  }

  function show(picture) {
    shown = picture;
    for (const other of pictures) other.button.setAttribute("aria-pressed", String(other === picture));
    showPicture(picture);
    onShown(picture.answer ?? null);
  }

  for (const name of about.species) element("all-species").append(make("option", { value: plain(name) }));
  startFeedback(about, () => shown);
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

class Picture {
  constructor(file, onChosen) {
    this.file = file;
    this.url = URL.createObjectURL(file);
    this.said = null;
    this.mark = make("span", { class: "mark" });
    this.forget();
    const thumbnail = make("img", { src: this.url, alt: file.name });
    // Of a kind that this browser does not show, such as TIFF.
    thumbnail.addEventListener("error", () => thumbnail.replaceWith(make("span", { class: "unshown" }, file.name)));
    this.button = make("button", { type: "button", class: "thumbnail", "aria-pressed": "false" }, thumbnail, this.mark);
    this.button.addEventListener("click", () => onChosen(this));
  }

  forget() {
    this.answer = null;
    this.error = null;
    this.mark.textContent = "…";
    this.mark.classList.add("waiting");
  }

  async identify(about) {
    try {
      if (this.file.size > about.max_upload_bytes) {
        throw new Error(`larger than ${Math.round(about.max_upload_bytes / 2 ** 20)} MiB`);
      }
      const body = new FormData();
      body.append("file", this.file);
      this.answer = await patiently(() => getJson("api/predict?heat_map=true", { method: "POST", body }));
      this.mark.textContent = this.answer.verdict === "none" ? "not in my list" : plain(this.answer.species);
    } catch (error) {
      this.error = error;
      this.mark.textContent = error.again ? "no answer" : "not read";
    }
    this.mark.classList.remove("waiting");
  }
}

// Asks again where the service says when.
async function patiently(ask) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!error.after || tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.after));
    }
  }
}

function showPicture(picture) {
  const { answer, error } = picture;
  element("result").hidden = false;
  const photo = element("photo");
  photo.onload = () => {
    element("figure").classList.remove("unshown");
    drawHeat(answer?.heat_map);
  };
  photo.onerror = () => element("figure").classList.add("unshown");
  photo.src = picture.url;
  photo.alt = picture.file.name;
  element("filename").textContent = picture.file.name;
  element("filename").title = picture.file.name;
  const verdict = element("verdict");
  verdict.className = `verdict ${error ? "failed" : (answer?.verdict ?? "waiting")}`;
  element("again").hidden = error?.again !== true;
  const [name, sure] = words(answer, error);
  element("name").textContent = name;
  element("sure").textContent = sure;
  const ranked = answer?.top5 ?? [];
  element("ranking").replaceChildren(...ranked.map(bar));
  element("feedback").hidden = !answer;
  showFeedback(picture);
}

function words(answer, error) {
  if (error?.again) return ["No answer", `${error.message}.`];
  if (error?.message.includes("no image format")) {
    return ["It cannot be read", `${error.message}. ${KINDS}`];
  }
  if (error) return ["It cannot be read", error.message];
  if (!answer) return ["Looking …", ""];
  const name = plain(answer.species);
  const probability = percent(answer.probability);
  if (answer.verdict === "named") return [name, `${probability} sure`];
  if (answer.verdict === "unsure") {
    return [`Not sure. Perhaps ${name}?`, `${probability} sure: of names given with so little, many are wrong.`];
  }
  return ["Probably no butterfly in my list", `The nearest is ${name}, with ${probability}.`];
}

function bar({ species, probability }) {
  const meter = make("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" });
  return make("li", {}, make("bdi", {}, plain(species)), meter, make("span", {}, percent(probability)));
}

// Lays the heat map over the central square that the network sees.
function drawHeat(heat) {
  const canvas = element("heat");
  element("heat-switch").hidden = !heat;
  canvas.hidden = !heat || !element("heat-shown").checked;
  element("heat-shown").onchange = (event) => (canvas.hidden = !event.target.checked);
  if (!heat) return;
  const { values, crop_fraction: fraction } = heat;
  const rows = values.length;
  const columns = values[0].length;
  canvas.width = columns;
  canvas.height = rows;
  const pixels = new ImageData(columns, rows);
  values.flat().forEach((value, place) => {
    // From yellow to red, the stronger the less of the photograph shows.
    pixels.data.set([255, Math.round(215 * (1 - value)), 40, Math.round(190 * value)], 4 * place);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const { naturalWidth: width, naturalHeight: height } = element("photo");
  const side = fraction * Math.min(width, height);
  Object.assign(canvas.style, {
    left: `${(50 * (width - side)) / width}%`,
    top: `${(50 * (height - side)) / height}%`,
    width: `${(100 * side) / width}%`,
    height: `${(100 * side) / height}%`,
  });
}

function startFeedback(about, current) {
  const buttons = element("feedback").querySelectorAll("button");
  element("right").addEventListener("click", () => send(current(), current().answer.species));
  element("wrong").addEventListener("click", () => {
    const open = element("correction").hidden;
    element("correction").hidden = !open;
    element("wrong").setAttribute("aria-expanded", String(open));
    if (open) element("species").focus();
  });
  element("feedback").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = element("species").value.trim();
    // As the data set calls it, where it is one of its species.
    if (typed) send(current(), about.species.find((name) => plain(name).toLowerCase() === typed.toLowerCase()) ?? typed);
  });

  async function send(picture, label) {
    const body = new FormData();
    const { species, probability } = picture.answer;
    for (const [name, value] of Object.entries({ label, named: species, probability })) body.append(name, value);
    body.append("file", picture.file);
    for (const button of buttons) button.disabled = true;
    try {
      await getJson("api/feedback", { method: "POST", body });
      picture.said = { text: `Thank you. Noted as ${plain(label)}.` };
    } catch (error) {
      picture.said = { text: `That was not kept: ${error.message}.`, again: true };
    }
    for (const button of buttons) button.disabled = false;
    if (picture === current()) {
      showFeedback(picture);
      // What had the focus is gone.
      element("thanks").focus();
    }
  }
}

function showFeedback({ answer, said }) {
  element("question").textContent = answer?.verdict === "none" ? "Do you know what it is?" : "Is that right?";
  element("right").hidden = answer?.verdict === "none";
  const asked = !said || said.again;
  for (const part of element("feedback").querySelectorAll("#question, .buttons")) part.hidden = !asked;
  element("correction").hidden = true;
  element("wrong").setAttribute("aria-expanded", "false");
  if (!said) element("species").value = "";
  element("thanks").hidden = !said;
  element("thanks").textContent = said?.text ?? "";
}
