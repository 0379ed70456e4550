// Photographs: taken in, identified a few at a time, shown, and what a visitor says of their names.
import { element, make, percent, plain, postForm } from "./common.js";
import { scaled } from "./scale.js";
import * as store from "./store.js";

const AT_ONCE = 4;
// How often a service that is busy is asked.
const TRIES = 20;

// Photographs that stay on the device.
const KEPT = 30;

const KINDS = "JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF are read; save another kind as JPEG.";

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

  element("example").addEventListener("click", async () => {
    const response = await fetch("example.jpg");
    take([new File([await response.blob()], "example.jpg", { type: "image/jpeg" })]);
  });
  element("forget").addEventListener("click", async () => {
    await store.clear("photographs");
    location.reload();
  });
  // Uploads that wait for a network are retried when there is one.
  addEventListener("online", () => {
    for (const picture of pictures.filter((one) => one.error?.offline && !waiting.includes(one))) {
      picture.forget();
      waiting.push(picture);
      if (picture === shown) show(picture);
    }
    next();
  });
  restore();

  async function restore() {
    const kept = (await store.all("photographs")).sort((one, other) => one.time - other.time);
    for (const old of kept.slice(0, -KEPT)) store.remove("photographs", old.id);
    for (const record of kept.slice(-KEPT)) {
      const picture = new Picture(new File([record.blob], record.name, { type: record.blob.type }), show, record);
      pictures.push(picture);
      element("strip").append(picture.button);
      if (!picture.answer) waiting.push(picture);
    }
    element("strip").hidden = pictures.length < 2;
    count();
    if (pictures.length && !shown) show(pictures.at(-1));
    next();
  }

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
    if (added.length) {
      show(added[0]);
      // On a telephone the answer would come below the screen.
      if (matchMedia("(max-width: 56rem)").matches) element("result").scrollIntoView({ block: "start" });
    }
    next();
  }

  function count() {
    const done = pictures.filter((picture) => picture.answer || picture.error).length;
    element("kept-here").hidden = pictures.length === 0;
    const all = pictures.length === 1 ? "1 photograph" : `${pictures.length} photographs`;
    element("count").textContent = done < pictures.length ? `${done} of ${all}` : all;
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
      picture.identify(about, (sending) => sending === shown && showProgress(sending)).then(() => {
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
  element("heat-shown").addEventListener("change", async () => {
    const picture = shown;
    if (element("heat-shown").checked && picture.answer && !picture.answer.heat_map) {
      const looked = await picture.ask("?heat_map=true").catch(() => null);
      picture.answer.heat_map = looked?.heat_map ?? null;
    }
    if (picture === shown) drawHeat(picture.answer);
  });
  return { current: () => shown };
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

class Picture {
  constructor(file, onChosen, record = null) {
    this.id = record?.id ?? `${Date.now()}-${Math.random()}`;
    this.time = record?.time ?? Date.now();
    this.file = file;
    this.sent = null;
    this.url = URL.createObjectURL(file);
    this.mark = make("span", { class: "mark" });
    this.forget();
    this.answer = record?.answer ?? null;
    this.said = record?.said ?? null;
    if (this.answer) this.label();
    const thumbnail = make("img", { src: this.url, alt: file.name });
    // Of a kind that this browser does not show, such as TIFF.
    thumbnail.addEventListener("error", () => thumbnail.replaceWith(make("span", { class: "unshown" }, file.name)));
    this.button = make("button", { type: "button", class: "thumbnail", "aria-pressed": "false" }, thumbnail, this.mark);
    this.button.addEventListener("click", () => onChosen(this));
  }

  forget() {
    this.answer = null;
    this.error = null;
    this.said = null;
    this.progress = 0;
    this.mark.textContent = "…";
    this.mark.classList.add("waiting");
  }

  label() {
    this.mark.textContent = this.answer.verdict === "none" ? "not in my list" : plain(this.answer.species);
    this.mark.classList.remove("waiting");
  }

  // What is sent and kept: the photograph, scaled once.
  async small() {
    this.sent ??= await scaled(this.file);
    return this.sent;
  }

  keep() {
    const { id, time, answer, said } = this;
    return store.put("photographs", { id, time, answer, said, name: this.file.name, blob: this.sent ?? this.file });
  }

  async ask(query = "", onProgress) {
    const body = new FormData();
    body.append("file", await this.small(), this.file.name);
    return patiently(() => postForm(`api/predict${query}`, body, onProgress));
  }

  async identify(about, onProgress) {
    try {
      if ((await this.small()).size > about.max_upload_bytes) {
        throw new Error(`larger than ${Math.round(about.max_upload_bytes / 2 ** 20)} MiB`);
      }
      this.keep();
      this.answer = await this.ask("", (share) => {
        this.progress = share;
        onProgress(this);
      });
      this.label();
      this.keep();
    } catch (error) {
      this.error = error;
      this.mark.textContent = error.again ? "no answer" : "not read";
      if (!error.again) store.remove("photographs", this.id);
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
    drawHeat(answer);
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
  element("log-add").hidden = !answer;
  element("log-form").hidden = true;
  showProgress(picture);
  showFeedback(picture);
}

function showProgress({ answer, error, progress }) {
  element("sending").hidden = Boolean(answer || error) || progress === 0 || progress === 1;
  element("sending").value = progress;
}

function words(answer, error) {
  if (error?.offline) return ["No answer", "No connection. It is asked again when the network is back."];
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
  return ["This looks like no butterfly I know", `The nearest is ${name}, with ${probability}: do not rely on that name.`];
}

function bar({ species, probability }) {
  const meter = make("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" });
  return make("li", {}, make("bdi", {}, plain(species)), meter, make("span", {}, percent(probability)));
}

// Lays the heat map over the central square that the network sees; where nothing is named there is none.
function drawHeat(answer) {
  const canvas = element("heat");
  const heat = element("heat-shown").checked ? answer?.heat_map : null;
  element("heat-switch").hidden = !answer || answer.verdict === "none" || answer.heat_map === null;
  canvas.hidden = !heat || answer.verdict === "none";
  if (canvas.hidden) return;
  const { values, crop_fraction: fraction } = heat;
  const rows = values.length;
  const columns = values[0].length;
  canvas.width = columns;
  canvas.height = rows;
  const pixels = new ImageData(columns, rows);
  values.flat().forEach((value, place) => {
    // What it did not look at is dimmed: that shows on wings of any colour.
    pixels.data.set([0, 0, 0, Math.round(170 * (1 - value))], 4 * place);
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
    for (const button of buttons) button.disabled = true;
    const body = new FormData();
    const { species, probability } = picture.answer;
    for (const [name, value] of Object.entries({ label, named: species, probability })) body.append(name, value);
    body.append("file", await picture.small(), picture.file.name);
    try {
      await postForm("api/feedback", body);
      picture.said = { text: `Thank you. Noted as ${plain(label)}.` };
      picture.keep();
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
