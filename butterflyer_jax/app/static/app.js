// Starts the parts of the page: photos, facts, the chat, and the log of sightings.
import { startChat } from "./chat.js";
import { startCompare } from "./compare.js";
import { showFacts } from "./facts.js";
import { startPictures } from "./pictures.js";
import { startSightings } from "./sightings.js";
import { element, getJson } from "./common.js";

const about = await getJson("api/about").catch((error) => {
  const notice = element("notice");
  notice.textContent = `The service does not answer: ${error.message}`;
  notice.hidden = false;
  throw error;
});

element("about").textContent = `Network: ${about.model}`;
element("kept").hidden = !about.keeps_photos;

const chat = startChat(about);
const compare = startCompare(about);
const pictures = startPictures(about, (identified) => {
  chat.about(identified);
  compare(identified);
  showFacts(identified).then(chat.offer);
});
// The button that leads to the chat is needed where the chat is out of sight.
new IntersectionObserver(([chat]) => element("to-chat").classList.toggle("unneeded", chat.isIntersecting)).observe(
  element("ask"),
);
await startSightings(about, pictures.current);
navigator.serviceWorker?.register("worker.js").catch(() => {});
