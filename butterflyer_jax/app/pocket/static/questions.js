// What a message asks: of which species, and in which words; see app/chat/questions.py and species_names.py.
import { Speller, stems, wordsOf } from "./english.js";
import { ONE } from "./wordVectors.js";

const MIN_EPITHET = 6;
const MAX_WORDS = 200;
const MAX_LOOK_BACK = 10;
export const PHOTO = "photo";
const MIN_KNOWN = 0.25;
const GREETINGS = ["hello", "thanks", "bye"];
export const BUTTERFLY = "butterfli";
const SUBJECTS = ["egg", "caterpillar", "chrysali", "cocoon", "moth", "wing", "antenna", "milkwe"];
const COMPARE = ["differ", "similar", "from", "than", "or"];

// Without control characters and lone surrogates; line breaks and tabs stay.
export const clean = (text) => text.replaceAll("\r\n", "\n").replace(/[^\P{Cc}\n\t]|\p{Cs}/gu, "").trim();

export const asks = (question) => question.stems.some((one) => one !== BUTTERFLY);

const EMPTY = {
  words: [], said: [], names: [], stems: [], ask: [], species: [], refers: false, ofPhoto: false, general: false, atHome: false, talk: "",
  foreign: false,
};

class SpeciesNames {
  constructor(knowledge) {
    this.names = new Map();
    this.words = new Set();
    const epithets = new Map();
    for (const species of knowledge.species) {
      const owner = species.scientific_name;
      const binomials = [...new Set([owner, ...species.synonyms.filter((name) => name.includes(" "))])];
      for (const binomial of binomials) {
        const [genus, ...rest] = binomial.split(/\s+/);
        this.add(`${genus[0]} ${rest.join(" ")}`, owner);
        const epithet = rest.at(-1).toLowerCase();
        epithets.set(epithet, (epithets.get(epithet) ?? new Set()).add(owner));
      }
      for (const name of [...binomials, ...species.synonyms, ...species.common_names]) this.add(name, owner);
    }
    for (const [epithet, owners] of epithets) {
      if (epithet.length >= MIN_EPITHET && owners.size === 1) this.add(epithet, [...owners][0]);
    }
    this.longest = Math.max(0, ...[...this.names.keys()].map((key) => key.split(" ").length));
  }

  add(name, species) {
    const words = wordsOf(name);
    const key = stems(words).join(" ");
    if (!this.names.has(key)) this.names.set(key, species);
    for (const word of words) this.words.add(word);
  }

  find(words) {
    const stemmed = stems(words);
    const mentions = [];
    for (let start = 0; start < words.length; ) {
      const mention = this.at(stemmed, start);
      if (mention) mentions.push(mention);
      start += mention ? mention.length : 1;
    }
    return mentions;
  }

  at(stemmed, start) {
    for (let length = Math.min(this.longest, stemmed.length - start); length > 0; length -= 1) {
      const species = this.names.get(stemmed.slice(start, start + length).join(" "));
      if (species) return { species, start, length };
    }
    return null;
  }
}

const LIFESPAN = "lifespan";
// How a text says how long a butterfly lives.
const LIVES = /\b(live|lives|life)\b[^.;]*\b(days|weeks|months|year|years)\b/;

const places = (spans) =>
  new Set(spans.flatMap(([start, length]) => Array.from({ length }, (_, place) => start + place)));

// Returns whether a question says that it follows another, as "and in winter?".
function continues({ words }) {
  return words[0] === "and" || (["what", "how"].includes(words[0]) && words[1] === "about");
}

// Returns whether a question names nothing but a subject for the question before, as "and moths?".
function replacesSubject(question) {
  const subject = (stem) => SUBJECTS.includes(stem) || stem === BUTTERFLY;
  const named = question.stems.length > 0 && question.stems.every(subject) && !question.species.length;
  return named && (continues(question) || !question.ask.length);
}

export class Reader {
  // Takes the words of the knowledge base, and others that are spelt rightly.
  constructor(knowledge, vocabulary, lexicon, common) {
    Object.assign(this, { knowledge, lexicon, common });
    this.names = new SpeciesNames(knowledge);
    this.home = new Set(stems(lexicon.home.words()));
    this.beyond = new Set(stems(lexicon.beyond.words()));
    this.known = new Set([...vocabulary, ...lexicon.ownWords()]);
    this.speller = new Speller(new Set([...this.known, ...this.names.words]), [...lexicon.ask]);
    this.knownStems = new Set(stems([...this.known]));
  }

  stemsOf(text) {
    const content = this.lexicon.content(wordsOf(text));
    return stems(LIVES.test(text) ? [...content, LIFESPAN] : content);
  }

  read(text) {
    const { lexicon } = this;
    const spelt = wordsOf(clean(text)).slice(0, MAX_WORDS);
    const ofSpelt = stems(spelt);
    const right = (word, place) => this.knownStems.has(ofSpelt[place]) || this.common.has(word);
    const words = spelt.map((word, place) => (right(word, place) ? word : this.speller.correct(word)));
    const mentions = this.names.find(words);
    const named = places(mentions.map(({ start, length }) => [start, length]));
    let rest = words.filter((_, place) => !named.has(place));
    const [talk, greeting] = this.talk(rest);
    const ofPhoto = places(lexicon.photo.all(rest));
    const known = rest.filter((word) => this.known.has(word)).length;
    rest = rest.filter((_, place) => !greeting.has(place) && !ofPhoto.has(place));
    let content = lexicon.content(rest);
    if (content.includes("long") && content.includes("live")) {
      content = content.filter((word) => word !== "long").map((word) => (word === "live" ? LIFESPAN : word));
    }
    const refers = ofPhoto.size > 0 || lexicon.refers.all(words).length > 0;
    const found = stems(content.filter((word) => !lexicon.ask.has(word)));
    return {
      words: rest,
      said: rest,
      names: words.filter((_, place) => named.has(place)),
      stems: found,
      ask: content.filter((word) => lexicon.ask.has(word)),
      species: [...new Set(mentions.map((mention) => mention.species))],
      refers: refers || lexicon.refers_weakly.all(words).length > 0,
      ofPhoto: ofPhoto.size > 0 || talk === PHOTO,
      general: !mentions.length && !refers && lexicon.general.all(spelt).length > 0,
      atHome: mentions.length > 0 || found.some((one) => this.home.has(one)),
      talk: mentions.length ? "" : talk,
      foreign: !mentions.length && known < MIN_KNOWN * words.length,
    };
  }

  readEarlier(messages) {
    const said = messages.filter((message) => message.role === "user").map((message) => message.text);
    return said.slice(-MAX_LOOK_BACK).map((text) => this.read(text));
  }

  inContext(text, earlier, identification) {
    let question = this.read(text);
    const last = earlier.findLast((asked) => asked.species.length || asked.general) ?? EMPTY;
    let atHand = last.species;
    const ofPhoto = identification !== null && (!atHand.length || question.ofPhoto);
    if (identification && ofPhoto) {
      const species = this.knowledge.find(identification.species);
      atHand = [species ? species.scientific_name : identification.species];
    }
    const before = earlier.findLast(asks) ?? EMPTY;
    if (!asks(question) && !question.talk && !question.general) {
      if (question.species.length || question.ask.length || continues(question)) {
        const general = before.general && !question.species.length;
        const ask = question.ask.length ? question.ask : before.ask;
        const said = [...question.ask, ...before.said];
        const atHome = question.atHome || before.atHome;
        question = { ...question, said, stems: before.stems, ask, general, atHome };
      }
    }
    const kept = before.stems.filter((stem) => SUBJECTS.includes(stem));
    const follows = question.refers || continues(question);
    const isFirst = !earlier.length && asks(question) && this.lexicon.refers_weakly.all(question.words).length > 0;
    const isGeneral = last.general || isFirst;
    if (replacesSubject(question) && asks(before)) {
      const rest = before.stems.filter((stem) => !kept.includes(stem) && stem !== BUTTERFLY);
      const said = [...question.said, ...before.said.filter((word) => !this.isSubject(word))];
      const found = [...question.stems, ...rest];
      question = { ...question, said, stems: found, ask: before.ask, general: true, atHome: true };
    } else if (isGeneral && !question.species.length && !identification && follows) {
      const added = asks(question) && !question.stems.some((stem) => SUBJECTS.includes(stem)) ? kept : [];
      const subject = added.length ? before.said.filter((word) => this.isSubject(word)) : [ONE];
      const said = [...subject, ...question.said];
      question = { ...question, said, stems: [...added, ...question.stems], general: true, atHome: true };
    }
    const general = question.general && !question.species.length;
    const compares = [...question.stems, ...question.words].some((word) => COMPARE.includes(word));
    const comparesIt = question.refers && question.species.length === 1 && compares;
    const atLarge = (question.species.length > 0 && !comparesIt) || general;
    const about = [...new Set([...(atLarge ? [] : atHand), ...question.species])];
    return { question, about, ofPhoto: ofPhoto && !atLarge };
  }

  // Returns whether a word names a butterfly, a stage of one or another subject.
  isSubject(word) {
    return stems(this.lexicon.content([word])).some((stem) => SUBJECTS.includes(stem) || stem === BUTTERFLY);
  }

  // Returns the kind of a message that is only talk, and the places of the words that greet.
  talk(words) {
    const { lexicon } = this;
    const found = lexicon.talk.all(words);
    if (!found.length) return ["", new Set()];
    const said = places([...found, ...lexicon.refers.all(words), ...lexicon.photo.all(words)]);
    const only = lexicon.content(words.filter((_, place) => !said.has(place))).length === 0;
    const greets = ([start, length, meanings]) =>
      GREETINGS.includes(meanings[0]) && (start === 0 || start + length === words.length);
    return [only ? found.at(-1)[2][0] : "", places(found.filter(greets))];
  }
}
