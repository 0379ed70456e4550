// What a visitor says of a name: right, or what it really is.
import { element, plain, postForm } from "./common.js";

export function startFeedback(about, current) {
  const buttons = element("feedback").querySelectorAll("button");
  element("right").addEventListener("click", () => send(current(), current().shownAnswer.species));
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
      picture.said = { text: `Thank you. Noted as ${plain(label)}.`, species: plain(label) };
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

export function showFeedback({ shownAnswer: answer, said }) {
  // Of a species that is named only as one of several, there is nothing to agree with.
  const unnamed = answer?.verdict === "none" || answer?.verdict === "higher";
  element("question").textContent = unnamed ? "Do you know what it is?" : "Is that right?";
  element("right").hidden = unnamed;
  element("wrong").textContent = unnamed ? "It is a …" : "No, it is really a …";
  const asked = !said || said.again;
  for (const part of element("feedback").querySelectorAll("#question, .buttons")) part.hidden = !asked;
  element("correction").hidden = true;
  element("wrong").setAttribute("aria-expanded", "false");
  if (!said) element("species").value = "";
  element("thanks").hidden = !said;
  element("thanks").textContent = said?.text ?? "";
}
