// A photo of the visitor's: sent, kept on the device, and its answer.
import { make, plain, postForm } from "./common.js";
import { scaled } from "./scale.js";
import * as store from "./store.js";

// How often a service that is busy is asked.
const TRIES = 20;

// Milliseconds, larger for each further photo: photos that were given at once keep their order.
let latest = 0;
const nextTime = () => (latest = Math.max(latest + 1, Date.now()));

export class Picture {
  constructor(file, onChosen, record = null) {
    this.id = record?.id ?? `${Date.now()}-${Math.random()}`;
    this.time = record?.time ?? nextTime();
    // Photos of one animal have one group.
    this.group = record?.group ?? this.id;
    this.crop = record?.crop ?? null;
    // Whether the service looks at many parts of it.
    this.search = record?.search ?? false;
    this.file = file;
    this.sent = null;
    this.url = URL.createObjectURL(file);
    this.mark = make("span", { class: "mark" });
    this.forget();
    this.answer = record?.answer ?? null;
    // That of all photos of the animal.
    this.shownAnswer = this.answer;
    this.said = record?.said ?? null;
    if (this.answer) this.label();
    const thumbnail = make("img", { src: this.url, alt: file.name });
    // Of a kind that this browser does not show, such as TIFF.
    thumbnail.addEventListener("error", () => thumbnail.replaceWith(make("span", { class: "unshown" }, file.name)));
    this.button = make("button", { type: "button", class: "thumbnail", "aria-pressed": "false" }, thumbnail, this.mark);
    this.button.addEventListener("click", () => onChosen(this));
  }

  forget() {
    this.answer = this.shownAnswer = null;
    this.error = null;
    this.said = null;
    this.progress = 0;
    this.say("waiting", "…");
  }

  label() {
    const { verdict, species, answer } = this.shownAnswer ?? this.answer;
    if (verdict === "none") this.say(verdict, "not in my list");
    else if (verdict === "higher") this.say(verdict, plain(answer.name), answer.rank);
    else this.say(verdict, plain(species), verdict === "unsure" ? "not sure" : "");
  }

  // Writes below the small photo; how sure that is comes first, as a long name is cut.
  say(state, text, caveat = "") {
    this.mark.className = `mark ${state}`;
    this.mark.replaceChildren(...(caveat ? [make("b", {}, caveat), " "] : []), text);
    this.mark.title = text;
  }

  // What is kept, and sent where no part of it was chosen: the photo, scaled once.
  async small() {
    this.sent ??= await scaled(this.file);
    return this.sent;
  }

  keep() {
    const { id, time, answer, said, group, crop, search } = this;
    return store.put(store.PHOTOS, { id, time, answer, said, group, crop, search, name: this.file.name, blob: this.sent ?? this.file });
  }

  async ask(options, onProgress) {
    const query = new URLSearchParams({ ...options, ...(this.search && !this.crop && { search: true }) });
    const body = new FormData();
    body.append("file", this.crop ? await scaled(this.file, this.crop) : await this.small(), this.file.name);
    return patiently(() => postForm(`api/predict?${query}`, body, onProgress));
  }

  async identify(about, onProgress) {
    try {
      if ((await this.small()).size > about.max_upload_bytes) {
        throw new Error(`larger than ${Math.round(about.max_upload_bytes / 2 ** 20)} MiB`);
      }
      this.keep();
      this.answer = await this.ask({}, (share) => {
        this.progress = share;
        onProgress(this);
      });
      this.shownAnswer = this.answer;
      this.label();
      this.keep();
    } catch (error) {
      this.error = error;
      this.say("failed", error.again ? "no answer" : "not read");
      if (!error.again) store.remove(store.PHOTOS, this.id);
    }
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
