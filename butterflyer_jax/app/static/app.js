// Wires the page together; pictures.js identifies, facts.js tells, chat.js answers.
import { startChat } from "./chat.js";
import { showFacts } from "./facts.js";
import { startPictures } from "./pictures.js";
import { element, getJson, plain } from "./common.js";

const about = await getJson("api/about").catch((error) => {
  const notice = element("notice");
  notice.textContent = `The service does not answer: ${error.message}`;
  notice.hidden = false;
  throw error;
});

element("about").textContent = `${about.model} · ${about.species.length} species`;
const list = element("list");
list.querySelector("summary").textContent = "Which species it knows";
list.querySelector("p").textContent = about.species.map(plain).join(", ");
element("kept").hidden = !about.keeps_photographs;

const chat = startChat(about);
startPictures(about, (identified) => {
  chat.about(identified);
  showFacts(identified);
});
