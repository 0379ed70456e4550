// Quotes the knowledge base in answer to a question, and names the sources; see app/chat/embedded_answerer.py.
import { Comparer } from "./comparisons.js";
import { Lexicon } from "./english.js";
import { BUTTERFLY, PHOTO, asks, clean } from "./questions.js";
import { Retriever, namesOf } from "./retrieval.js";
import { Suggester } from "./suggestions.js";
import { WordVectors } from "./wordVectors.js";

const MAX_PASSAGES = 3;
const MIN_PROBABILITY = 0.01;
const MAX_OTHERS = 2;
const SHORT = 70;
const WHOLE = 260;
const MAX_MESSAGE = 10_000;
const MAX_CONVERSATION = 16_000;
const MAX_OLD_MESSAGE = 2_000;
const MAX_MESSAGES = 30;
const MAX_LABEL = 80;
const NAMED = 1.5;
const DIFFER = "differ";
const SENTENCE = /(?<=[.;?!])(?<!\b[A-Z]\.)\s+(?=[A-Z0-9])/;
const DEPENDENT = /^(It|They|These|This|That|Its|Their|He|She|Some|Others|Other|Such|There|Then|Both|From)\b/;

// Returns the function from a conversation, as the page posts it, to the events of its answer.
export function makeAnswerer(content) {
  const knowledge = new Knowledge(content);
  let answerer = null;
  return ({ messages, identification }) => {
    // Reading its words takes a moment, in which the page would not yet be shown.
    answerer ??= new Answerer(knowledge, new Lexicon(content.lexicon), new WordVectors(content.vectors));
    const found = identification && {
      ...identification,
      named: identification.verdict === "named",
      ranked: identification.top5.map(({ species, probability }) => [species, probability]),
    };
    return answerer.answer(messages, found ?? null);
  };
}

class Knowledge {
  constructor({ species, passages, questions, names, sources }) {
    Object.assign(this, { species, passages, questions, names, sources });
    this.byScientific = new Map(species.map((one) => [one.scientific_name, one]));
  }

  // Returns the species of a scientific name, common name or synonym; null where it is not known.
  find(label) {
    const key = label.normalize("NFKC").toLowerCase().replace(/[_-]/g, " ").trim().replace(/\s+/g, " ");
    const name = this.names.all[key] ?? this.names.binomials[key.split(" ").slice(0, 2).join(" ")];
    return this.byScientific.get(name) ?? null;
  }
}

class Citations {
  constructor(sources) {
    this.all = sources;
    this.cited = [];
  }

  cite(numbers) {
    return numbers
      .map((number) => {
        if (!this.cited.includes(number)) this.cited.push(number);
        return `[${this.cited.indexOf(number) + 1}]`;
      })
      .join("");
  }

  sources() {
    return this.cited.map((number) => this.all[number]);
  }
}

class Answerer {
  constructor(knowledge, lexicon, vectors) {
    this.knowledge = knowledge;
    this.say = lexicon.say;
    this.retriever = new Retriever(knowledge, lexicon, vectors);
    this.comparer = new Comparer(knowledge, this.retriever.reader);
    this.suggester = new Suggester(this.retriever);
  }

  answer(messages, identification) {
    const reply = replyWithoutAnswering(messages, this.say);
    if (reply) return [{ text: reply }, { done: true }];
    const [asked, found] = this.retriever.lookUp(trimmed(messages), identification, MAX_PASSAGES);
    const { question } = asked;
    if (question.talk) return [{ text: this.talk(question.talk, identification) }, { done: true }];
    const citations = new Citations(this.knowledge.sources);
    const compared = this.comparer.compare(asked);
    const suggestions = compared.length ? [] : this.suggester.suggest(asked, found);
    let parts;
    if (compared.length) {
      parts = compared.map(({ text, sources }) => [`${text} ${citations.cite(sources)}`.trimEnd(), ""]);
    } else {
      parts = [[this.caveat(asked, identification), ""]];
      if (found.length) parts.push(...this.quoted(asked, found.map((one) => one.passage), citations));
      else parts.push([suggestions.length ? this.say.unclear : this.unknown(asked), ""]);
    }
    const events = parts
      .filter(([text]) => text)
      .map(([text, more], number) => ({ text: number ? `\n\n${text}` : text, ...(more && { more }) }));
    if (suggestions.length) events.push({ suggestions });
    if (citations.cited.length) events.push({ sources: citations.sources() });
    return [...events, { done: true }];
  }

  quoted(asked, passages, citations) {
    const subjects = new Set(passages.map((passage) => passage.species));
    const several = !asks(asked.question) || (asked.about.length > 1 && subjects.size > 1);
    return (several ? passages : passages.slice(0, 1)).map((passage) => {
      const [short, more] = this.split(passage, asked);
      const name = asked.about.length > 1 && passage.species ? `${this.shown(passage.species)}: ` : "";
      return [`${name}${short} ${citations.cite(passage.sources)}`, more];
    });
  }

  // Returns the sentence or two of a passage that answer, and the others.
  split(passage, asked) {
    const differs = asked.question.stems.includes(DIFFER);
    if (passage.species === null && (differs || passage.text.length <= WHOLE)) return [passage.text, ""];
    const sentences = passage.text.split(SENTENCE);
    const stems = new Set(asked.question.stems.filter((stem) => stem !== BUTTERFLY));
    const ofEach = sentences.map(
      (sentence) => new Set(this.retriever.reader.stemsOf(sentence).filter((stem) => stems.has(stem))),
    );
    const counts = new Map();
    for (const stem of ofEach.flatMap((found) => [...found])) counts.set(stem, (counts.get(stem) ?? 0) + 1);
    const named = namesOf(this.knowledge, asked.about);
    const held = sentences.map((sentence, place) => {
      const ofSpecies = !passage.species && named.some((name) => sentence.includes(name));
      return [...ofEach[place]].reduce((total, stem) => total + 1 / counts.get(stem), 0) + (ofSpecies ? NAMED : 0);
    });
    let start = held.indexOf(Math.max(...held));
    if (held[start] === held[0]) start = 0;
    let end = start + 1;
    while (start && DEPENDENT.test(sentences[start])) start -= 1;
    if (end < sentences.length && end - start === 1 && sentences[start].length < SHORT) end += 1;
    const rest = [...sentences.slice(0, start), ...sentences.slice(end)];
    return [sentences.slice(start, end).join(" "), rest.join(" ")];
  }

  talk(kind, identification) {
    if (kind === PHOTO) return identification ? this.identified(identification) : this.say.no_photo;
    if (kind === "hello" && identification?.named) {
      return fill(this.say.hello, { about: this.shown(identification.species) });
    }
    return this.say[kind === "hello" ? "hello_any" : kind];
  }

  unknown(asked) {
    const { question, about } = asked;
    if (question.foreign) return this.say.other_language;
    const species = about.length ? this.knowledge.find(about[0]) : null;
    if (species && (question.species.length || question.refers)) {
      return fill(this.say.unknown_of, { species: this.shown(species.scientific_name) });
    }
    const needs = !(about.length || question.general) && this.retriever.needsSpecies(question);
    return needs ? this.say.which : this.say.unknown;
  }

  shown(species) {
    const known = this.knowledge.find(species);
    if (known) return `${known.name} (${known.scientific_name})`;
    return [...clean(species).split(/\s+/).join(" ")].slice(0, MAX_LABEL).join("");
  }

  caveat(asked, identification) {
    if (!identification || !asked.ofPhoto) return "";
    const name = this.shown(identification.species);
    const probability = percent(identification.probability);
    const unsure = identification.named ? "" : fill(this.say.not_sure, { species: name, probability });
    const nothing = this.knowledge.find(identification.species) ? "" : fill(this.say.no_species, { species: name });
    return [unsure, nothing].filter(Boolean).join(" ");
  }

  identified(identification) {
    const { species, probability, named, ranked } = identification;
    const sentence = this.say[named ? "named" : "not_sure"];
    const first = fill(sentence, { species: this.shown(species), probability: percent(probability) });
    const others = ranked
      .filter(([name, share]) => name !== species && share >= MIN_PROBABILITY)
      .map(([name, share]) => `${this.shown(name)} (${percent(share)})`)
      .slice(0, MAX_OTHERS);
    return others.length ? `${first} ${fill(this.say.others, { others: others.join(", ") })}` : first;
  }
}

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const percent = (probability) => (probability > 0.99 ? "> 99%" : `${Math.round(100 * probability)}%`);

function replyWithoutAnswering(messages, say) {
  const last = messages.at(-1);
  if (last?.role !== "user" || !/[\p{L}\p{N}]/u.test(last.text)) return say.empty;
  if (last.text.length <= MAX_MESSAGE) return "";
  const values = { count: last.text.length.toLocaleString("en"), limit: MAX_MESSAGE.toLocaleString("en") };
  return fill(say.too_long, values);
}

// Returns the newest messages that fit the limits, beginning with one of the user's.
function trimmed(messages) {
  const kept = [];
  let room = MAX_CONVERSATION;
  for (const { role, text: said } of messages.slice(-MAX_MESSAGES).reverse()) {
    const text = clean(said.slice(0, kept.length ? MAX_OLD_MESSAGE : MAX_MESSAGE));
    if (kept.length && text.length > room) break;
    room -= text.length;
    if (text || !kept.length) kept.push({ role, text });
  }
  kept.reverse();
  while (kept.length && kept[0].role !== "user") kept.shift();
  return kept;
}
