// Finds the passage that answers a question, by the typical questions beside each passage; see app/chat/retrieval.py.
import { BUTTERFLY, Reader, asks } from "./questions.js";
import { wordsOf } from "./english.js";
import { Matcher, YOUNG, weightsHeld } from "./matching.js";

const [MIN_SCORE, MIN_WITH_LEAD] = [2.2, 2.6];
const [LEAD_SHARE, MAX_LEAD] = [0.5, 0.6];
const MIN_SCORE_ELSEWHERE = 2.9;
const [CERTAIN_BONUS, SPECIES_BONUS] = [0.4, 0.12];
const MIXED = "life_cycle";
const OF_ADULTS = ["wingspan", "identification"];
const NOT_HELD = 1.2;
const DURATION = /\b(days|weeks|months|years|an? (day|week|month))\b/;
const LOOK_ALIKE_BONUS = 2.0;
const MAX_CLAUSES = 6;
const OVERVIEW = ["identification", "range", "host_plants", "wingspan", "flight_season"];
const IN_GENERAL = "Butterflies in a few words";

const entryOf = (passage) => (passage.species === null ? passage.title : passage.kind);
const sorted = (found) => found.sort((one, other) => other.score - one.score);

// Returns whether the first passage is of a species, or scores high or much higher than the next.
function leads([first, next]) {
  if (!first || first.passage.species !== null) return Boolean(first);
  const lead = next ? first.score - next.score : MAX_LEAD;
  return first.score + LEAD_SHARE * Math.min(lead, MAX_LEAD) >= MIN_WITH_LEAD;
}

// Returns how the names of species begin in a text: "Painted Lad" of "Painted Lady" and "Painted Ladies".
export function namesOf(knowledge, about) {
  return about.map((one) => knowledge.find(one)?.name.replace(/y$/, "")).filter(Boolean);
}

export class Retriever {
  constructor(knowledge, lexicon, vectors) {
    this.knowledge = knowledge;
    const { passages, questions } = knowledge;
    const typical = passages.map((passage) => questions[entryOf(passage)] ?? []);
    const texts = [...passages.flatMap((passage) => [passage.title, passage.text]), ...typical.flat()];
    this.reader = new Reader(knowledge, new Set(texts.flatMap(wordsOf)), lexicon, vectors.places);
    this.passages = passages;
    this.words = passages.map((passage) => new Set(this.reader.stemsOf(`${passage.title} ${passage.text}`)));
    this.lookAlikes = passages.map(({ kind, title }) =>
      kind === "look_alikes" ? this.reader.stemsOf((title.split("Look-alike ")[1] ?? "").split(" (")[0]) : null,
    );
    const entries = new Map();
    passages.forEach((passage, number) => {
      const entry = entryOf(passage);
      if (!entries.has(entry)) entries.set(entry, typical[number].map((question) => this.reader.read(question)));
    });
    const facts = new Set(passages.filter(({ species }) => species !== null).map(entryOf));
    this.matcher = new Matcher(entries, facts, this.reader, vectors);
    this.held = passages.map((passage, number) => weightsHeld(this.words[number], entries.get(entryOf(passage))));
    this.elsewhere = new Map(
      [...entries].map(([entry, read]) => [
        entry,
        read.filter((one) => !one.atHome && !one.general).map((one) => one.stems),
      ]),
    );
  }

  // Returns the passages that answer a text by itself.
  search(text, limit) {
    const question = this.reader.read(text);
    return this.find(question, question.species, limit);
  }

  // Returns what the last message asks, and the passages that answer it.
  lookUp(messages, identification, limit) {
    const earlier = this.reader.readEarlier(messages.slice(0, -1));
    const { text } = messages.at(-1);
    const whole = this.reader.inContext(text, earlier, identification);
    const found = this.find(whole.question, whole.about, limit);
    const clauses = text.split(/[.,;:!?\n]+/).filter((clause) => clause.trim()).slice(-MAX_CLAUSES);
    if (found.length || whole.question.talk || clauses.length < 2) return [whole, found];
    for (const clause of clauses.reverse()) {
      const asked = this.reader.inContext(clause, earlier, identification);
      const { question } = asked;
      const ofButterflies =
        question.species.length || question.general || question.refers || question.stems.includes(BUTTERFLY);
      if (asks(question) && question.ask.length && ofButterflies && !question.talk) {
        const answers = this.find(question, asked.about, limit);
        if (answers.length) return [asked, answers];
      }
    }
    return [whole, []];
  }

  find(question, about, limit) {
    if (question.foreign) return [];
    const known = about.some((species) => this.knowledge.find(species));
    if (about.length && question.refers && !question.general && !known) return [];
    if (!asks(question)) return this.overview(about, question.general, limit);
    if (about.length > 1 && (question.stems.includes("differ") || question.words.includes("from"))) {
      return this.comparison(about, limit);
    }
    const near = this.nearest(question, about);
    return leads(near) ? near.filter(({ enough }) => enough).slice(0, limit) : [];
  }

  // Returns the passages that have to do with a question, the best first, though they may not answer it.
  nearest(question, about) {
    const asked = this.matcher.prepare(question);
    const certain = question.species.length > 0 || (question.refers && !question.general);
    const bonus = certain ? CERTAIN_BONUS : SPECIES_BONUS;
    const atHome = question.atHome || question.general || (about.length > 0 && certain);
    const names = namesOf(this.knowledge, about);
    const found = [];
    this.passages.forEach((passage, number) => {
      const ofSpecies = passage.species !== null;
      if (!asked.features.size || (ofSpecies && !about.includes(passage.species))) return;
      if (!ofSpecies && !atHome && !this.askedAnywhere(passage, question)) return;
      const match = this.matcher.match(asked, entryOf(passage), this.held[number], about);
      let { score } = match;
      const name = this.lookAlikes[number];
      const asksOfYoung = YOUNG.some((stem) => question.stems.includes(stem) && !this.words[number].has(stem));
      const young = OF_ADULTS.includes(passage.kind) && asksOfYoung;
      if (ofSpecies && (young || (passage.kind === MIXED && !this.holds(number, question)))) {
        score -= NOT_HELD;
      } else if (!ofSpecies && names.some((one) => passage.text.includes(one))) {
        score += SPECIES_BONUS;
      }
      if (name?.every((stem) => question.stems.includes(stem))) score += LOOK_ALIKE_BONUS;
      const enough = score >= (atHome ? MIN_SCORE : MIN_SCORE_ELSEWHERE);
      if (score > 0) found.push({ passage, score: score + (ofSpecies ? bonus : 0), typical: match.typical, enough });
    });
    return sorted(found);
  }

  // Returns whether a typical question speaks of no butterfly either: "What makes holes in my cabbage?".
  askedAnywhere(passage, question) {
    return this.elsewhere.get(entryOf(passage)).some((stems) => stems.every((stem) => question.stems.includes(stem)));
  }

  // Returns whether a passage says something of what is asked, and how long it is if that is asked.
  holds(number, question) {
    if (!question.stems.includes("long")) return question.stems.some((stem) => this.words[number].has(stem));
    const timed = this.passages[number].text.split(/[.;]/).filter((sentence) => DURATION.test(sentence));
    return timed.some((sentence) => this.reader.stemsOf(sentence).some((stem) => question.stems.includes(stem)));
  }

  needsSpecies(question) {
    const asked = this.matcher.prepare(question);
    const kinds = new Set(this.passages.filter((passage) => passage.species !== null).map(entryOf));
    return [...kinds].some((kind) => this.matcher.match(asked, kind, new Map(), []).score >= MIN_SCORE);
  }

  overview(about, general, limit) {
    if (general) {
      return this.passages.filter(({ title }) => title === IN_GENERAL).map((passage) => ({ passage, score: 1 }));
    }
    const found = this.passages
      .filter((passage) => about.includes(passage.species) && OVERVIEW.includes(passage.kind))
      .map((passage) => ({ passage, score: OVERVIEW.length - OVERVIEW.indexOf(passage.kind) }));
    return sorted(found).slice(0, limit);
  }

  comparison(about, limit) {
    const ofEach = about.flatMap((species) => this.passages.filter((passage) => passage.species === species));
    const pairs = ofEach.filter(
      ({ kind, title, species }) =>
        kind === "look_alikes" && about.some((other) => other !== species && title.includes(`(${other})`)),
    );
    const chosen = pairs.length ? pairs : ofEach.filter((passage) => passage.kind === "identification");
    return chosen.map((passage) => ({ passage, score: 1 })).slice(0, limit);
  }
}
