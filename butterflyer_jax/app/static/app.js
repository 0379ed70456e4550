// Starts the parts of the page: photographs, facts, the chat, and the log of sightings.
import { startChat } from "./chat.js";
import { showFacts } from "./facts.js";
import { startPictures } from "./pictures.js";
import { startSightings } from "./sightings.js";
import { element, getJson, plain } from "./common.js";

const about = await getJson("api/about").catch((error) => {
  const notice = element("notice");
  notice.textContent = `The service does not answer: ${error.message}`;
  notice.hidden = false;
  throw error;
});

element("about").textContent = about.model;
const list = element("list");
list.querySelector("summary").textContent = `It knows ${about.species.length} species, and no others`;
list.querySelector("p").textContent = about.species.map(plain).join(", ");
element("kept").hidden = !about.keeps_photographs;

const chat = startChat(about);
const pictures = startPictures(about, (identified) => {
  chat.about(identified);
  showFacts(identified);
});
await startSightings(about, pictures.current);
navigator.serviceWorker?.register("worker.js").catch(() => {});
