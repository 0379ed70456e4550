// Photos: taken in, identified a few at a time, and shown.
import { combined } from "./combine.js";
import { element, make, percent, plain } from "./common.js";
import { startCrop } from "./crop.js";
import { showFeedback, startFeedback } from "./feedback.js";
import { drawLooked } from "./looked.js";
import { Picture } from "./picture.js";
import * as store from "./store.js";

const AT_ONCE = 4;
// Photos that stay on the device.
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
    await store.clear(store.PHOTOS);
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
    const kept = (await store.all(store.PHOTOS)).sort((one, other) => one.time - other.time);
    for (const old of kept.slice(0, -KEPT)) store.remove(store.PHOTOS, old.id);
    for (const record of kept.slice(-KEPT)) {
      const picture = new Picture(new File([record.blob], record.name, { type: record.blob.type }), show, record);
      pictures.push(picture);
      element("strip").append(picture.button);
      if (!picture.answer) waiting.push(picture);
    }
    for (const picture of pictures) combine(picture);
    element("strip").hidden = pictures.length < 2;
    count();
    if (pictures.length && !shown) show(pictures.at(-1));
    next();
  }

  function take(files) {
    const found = [...files].filter((file) => !file.type || file.type.startsWith("image/"));
    const others = [...files].filter((file) => !found.includes(file));
    const which = others.length === 1 ? `${others[0].name} is not one` : `${others.length} files are none`;
    notice(others.length ? `Only photos can be named, and ${which}.` : "");
    const added = found.map((file) => new Picture(file, show));
    for (const picture of added) picture.givenWith = added;
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
    const all = pictures.length === 1 ? "1 photo" : `${pictures.length} photos`;
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
        combine(picture);
        if (shown && picture.group === shown.group) show(shown);
        next();
      });
    }
  }

  function show(picture) {
    if (picture !== shown) {
      crop.close();
      toMiddle(picture.button);
    }
    shown = picture;
    for (const other of pictures) other.button.setAttribute("aria-pressed", String(other === picture));
    showPicture(picture, about);
    element("search-switch").hidden = !about.searches || Boolean(picture.crop);
    element("search-help").hidden = element("search-switch").hidden || !picture.search;
    element("search").checked = picture.search;
    element("search").disabled = !picture.answer && !picture.error;
    showGroup(picture);
    look();
    onShown(picture.shownAnswer);
  }

  // Those that the visitor may say show the same animal: given at once, else this and the one before.
  function companions(picture) {
    const together = picture.givenWith ?? [picture];
    return together.length > 1 ? together : pictures.slice(Math.max(0, pictures.indexOf(picture) - 1), pictures.indexOf(picture) + 1);
  }

  function groupOf(picture) {
    return pictures.filter((other) => other.group === picture.group);
  }

  function showGroup(picture) {
    const others = companions(picture);
    const joined = groupOf(picture);
    element("one-animal-switch").hidden = others.length < 2 && joined.length < 2;
    element("one-animal").checked = joined.length > 1;
    element("one-animal-text").textContent =
      joined.length > 1
        ? `These ${joined.length} photos show one animal`
        : others.length > 2 || picture.givenWith?.length > 1
          ? `These ${others.length} photos show one animal`
          : "The same animal as in the previous photo";
  }

  function combine(picture) {
    const group = groupOf(picture);
    const answered = group.filter((other) => other.answer);
    if (!answered.length) return;
    const answer = combined(answered.map((other) => other.answer), about.sure);
    for (const other of answered) {
      other.shownAnswer = answer;
      other.label();
    }
  }

  element("one-animal").addEventListener("change", (event) => {
    if (event.target.checked) {
      const joined = companions(shown).flatMap(groupOf);
      for (const picture of joined) picture.group = joined[0].id;
      combine(shown);
      for (const picture of joined) picture.keep();
    } else {
      const parted = groupOf(shown);
      for (const picture of parted) picture.group = picture.id;
      for (const picture of parted) {
        combine(picture);
        picture.keep();
      }
    }
    show(shown);
  });

  const crop = startCrop((chosen) => askAgain({ crop: chosen }));
  element("search").addEventListener("change", (event) => askAgain({ search: event.target.checked }));

  // Asks about the shown photo in another way.
  function askAgain(change) {
    const picture = shown;
    Object.assign(picture, change).forget();
    waiting.push(picture);
    show(picture);
    next();
  }

  for (const name of about.species) element("all-species").append(make("option", { value: plain(name) }));
  startFeedback(about, () => shown);
  element("heat-shown").addEventListener("change", look);

  // Asks for the heat map where the visitor wants to see it and it is not here yet.
  async function look() {
    const picture = shown;
    const { answer } = picture;
    if (element("heat-shown").checked && answer && answer.verdict !== "none" && answer.heat_map === undefined) {
      const looked = await picture.ask({ heat_map: true }).catch(() => null);
      answer.heat_map = looked?.heat_map ?? null;
    }
    if (picture === shown) drawLooked(picture, about.crop_fraction);
  }
  return { current: () => shown };
}

// Moves the row of photos alone: the page stays where it is.
function toMiddle(button) {
  const [strip, tile] = [element("strip"), button].map((one) => one.getBoundingClientRect());
  element("strip").scrollLeft += tile.left + tile.width / 2 - (strip.left + strip.width / 2);
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

function showPicture(picture, about) {
  const { shownAnswer: answer, error } = picture;
  element("result").hidden = false;
  const photo = element("photo");
  photo.onload = () => {
    element("figure").classList.remove("unshown");
    drawLooked(picture, about.crop_fraction);
  };
  photo.onerror = () => element("figure").classList.add("unshown");
  photo.src = picture.url;
  photo.alt = picture.file.name;
  element("filename").textContent = picture.file.name;
  element("filename").title = picture.file.name;
  const verdict = element("verdict");
  verdict.className = `verdict ${error ? "failed" : (answer?.verdict ?? "waiting")}`;
  element("again").hidden = error?.again !== true;
  const [name, sure] = words(answer, error, about.sure);
  element("name").textContent = name;
  element("sure").textContent = sure;
  const ranked = answer?.top5 ?? [];
  element("ranking").replaceChildren(...ranked.map(bar));
  element("feedback").hidden = !answer;
  element("log-add").hidden = !answer;
  element("crop").hidden = !answer && !error;
  element("crop-whole").hidden = !picture.crop || !answer;
  element("log-form").hidden = true;
  showProgress(picture);
  showFeedback(picture);
}

function showProgress({ answer, error, progress }) {
  element("sending").hidden = Boolean(answer || error) || progress === 0 || progress === 1;
  element("sending").value = progress;
}

function words(answer, error, sure) {
  const from = answer?.count ? `, from ${answer.count} photos taken as one animal` : "";
  if (error?.offline) return ["No answer", "No connection. It is asked again when the network is back."];
  if (error?.again) return ["No answer", `${error.message}.`];
  if (error?.message.includes("no image format")) {
    return ["It cannot be read", `${error.message}. ${KINDS}`];
  }
  if (error) return ["It cannot be read", error.message];
  if (!answer) return ["Looking …", ""];
  const name = plain(answer.species);
  const probability = percent(answer.probability);
  if (answer.verdict === "named") return [name, `${probability} sure${from}`];
  if (answer.verdict === "higher") {
    const { rank, text, probability: sum } = answer.answer;
    return [
      text[0].toUpperCase() + text.slice(1),
      `${percent(sum)} sure of the ${rank}, ${probability} of ${name}: which species it is, is not sure.`,
    ];
  }
  if (answer.verdict === "unsure") {
    const reason = answer.refused
      ? `${answer.refused} of them ${answer.refused === 1 ? "looks" : "look"} like no butterfly I know.`
      : answer.probability >= sure
        ? "Too few photos have shown that such names are right: do not take it for confirmed."
        : "Of names given with so little, many are wrong.";
    return [`Not sure. Perhaps ${name}?`, `${probability} sure${from}. ${reason}`];
  }
  const other = "It may be another species, no butterfly, or a photo unlike those I learned from.";
  return ["This looks like no butterfly I know", `${other} The nearest is ${name}, with ${probability}: do not rely on it.`];
}

function bar({ species, probability }) {
  const meter = make("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" });
  return make("li", {}, make("bdi", {}, plain(species)), meter, make("span", {}, percent(probability)));
}
