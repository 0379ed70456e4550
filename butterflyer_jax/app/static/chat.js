// The conversation: sent whole with each question, as the service keeps nothing.
import { element, link, make, plain, postStream, sourceItem } from "./common.js";
import { render } from "./markdown.js";

const AT_LARGE = ["What tells a butterfly from a moth?", "How long do butterflies live?", "How do I help butterflies?"];
const ABOUT_IT = ["What do its caterpillars eat?", "How do I tell it from others?", "Where and when does it fly?", "Is it endangered?"];
const NO_PHOTO = "About butterflies in general, or add a photo and ask about that one.";
const perhaps = (name) => `About the ${name} that your photo perhaps shows, or butterflies in general.`;
// What is asked about, by the verdict on the photo.
const CONTEXTS = {
  named: (name) => `About the ${name} in your photo, or butterflies in general.`,
  higher: perhaps,
  unsure: perhaps,
  none: () => "About butterflies in general: what is in your photo is not sure.",
};
const MAX_MESSAGE = 10000;
// Of older ones the service reads nothing.
const MAX_MESSAGES = 60;

export function startChat(about) {
  const talk = element("talk");
  const form = element("ask");
  const box = element("message");
  let messages = [];
  let identified = null;
  let busy = false;

  element("answerer").textContent =
    about.chat === "embedded"
      ? "Answers are sentences of the knowledge base here, with their sources."
      : "A language model words the answers, from the knowledge base here. It may err: look at the sources.";
  suggest(AT_LARGE);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askTyped();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      askTyped();
    }
  });

  function suggest(questions) {
    element("suggestions").replaceChildren(...chips(questions));
  }

  function chips(questions) {
    return questions.map((question) => {
      const chip = make("button", { type: "button", class: "chip" }, question);
      chip.addEventListener("click", () => ask(question));
      return chip;
    });
  }

  async function askTyped() {
    const question = box.value.trim();
    if (busy || !question) {
      box.focus();
      return;
    }
    if (question.length <= MAX_MESSAGE) box.value = "";
    await ask(question);
  }

  // What is typed and not sent stays, where a question that is offered is asked.
  async function ask(question) {
    if (busy) return;
    if (question.length > MAX_MESSAGE) {
      const answer = add("assistant");
      answer.text(`That is too long: ${question.length} characters, where ${MAX_MESSAGE} are read.`);
      answer.finish();
      return;
    }
    busy = true;
    element("send").disabled = true;
    // Another photo may begin another conversation meanwhile.
    const conversation = messages;
    conversation.push({ role: "user", text: question });
    add("user").text(question);
    const answer = add("assistant");
    try {
      const asked = { messages: conversation.slice(-MAX_MESSAGES), identification: identified };
      await postStream("api/chat", asked, (event) => {
        if (event.text) answer.text(event.text);
        if (event.more) answer.more(event.more);
        if (event.suggestions) answer.suggestions(event.suggestions);
        if (event.sources) answer.sources(event.sources);
      });
      conversation.push({ role: "assistant", text: answer.value() });
    } catch (error) {
      conversation.pop();
      answer.text(`${answer.value() && "\n\n"}Sorry, no answer: ${error.message}.`);
      if (!box.value) box.value = question;
    }
    answer.finish();
    busy = false;
    element("send").disabled = false;
  }

  function add(role) {
    const words = make("div", { class: "words", dir: "auto" });
    const who = make("span", { class: "hidden" }, role === "user" ? "You: " : "Answer: ");
    const bubble = make("div", { class: `bubble ${role}` }, who, words);
    if (role === "assistant") {
      bubble.classList.add("waiting");
      // Read aloud once, when it is whole.
      talk.setAttribute("aria-busy", "true");
    }
    talk.append(bubble);
    let text = "";
    let sources = [];
    const follow = () => talk.scrollTo({ top: talk.scrollHeight });
    follow();
    return {
      value: () => text,
      text(more) {
        text += more;
        words.textContent = text;
        bubble.classList.remove("waiting");
        follow();
      },
      more(folded) {
        bubble.append(make("details", { class: "folded" }, make("summary", {}, "More on this"), make("p", {}, folded)));
        follow();
      },
      suggestions(questions) {
        const label = make("p", {}, "Did you mean:");
        bubble.append(make("div", { class: "chips meant", role: "group", "aria-label": "Did you mean" }, label, ...chips(questions)));
        follow();
      },
      sources(given) {
        sources = given;
      },
      finish() {
        bubble.classList.remove("waiting");
        talk.removeAttribute("aria-busy");
        if (role === "assistant") {
          words.classList.add("rendered");
          words.replaceChildren(...render(text, (part) => withMarks(part, sources)));
        }
        if (sources.length === 0) return;
        bubble.append(make("ol", { class: "sources", "aria-label": "Sources" }, ...sources.map(sourceItem)));
        follow();
      },
    };
  }

  return {
    // Another photo begins another conversation: what "it" means is then the new one.
    about(next) {
      if (next?.species !== identified?.species && messages.length) {
        messages = [];
        talk.append(make("p", { class: "divider" }, next ? `About ${plain(next.species)}` : "Another photo"));
      }
      identified = next && {
        species: next.species,
        probability: next.probability,
        verdict: next.verdict,
        top5: next.top5,
      };
      element("context").textContent = !next ? NO_PHOTO : CONTEXTS[next.verdict](plain(next.species));
    },

    // Offers questions: about the species in the photo where facts of it are known. Nothing where that is open.
    offer(known) {
      if (known !== undefined) suggest(known ? ABOUT_IT : AT_LARGE);
    },
  };
}

// Turns each [1] into a link to its source.
function withMarks(text, sources) {
  // Apart from each other, or 1 and 2 read as 12.
  return text.replaceAll("][", "]\u00a0[").replaceAll(" [", "\u00a0[").split(/(\[\d+\])/).map((part) => {
    const number = /^\[(\d+)\]$/.exec(part)?.[1];
    const source = number && sources[number - 1];
    return source ? make("sup", {}, link(source, number)) : part;
  });
}
