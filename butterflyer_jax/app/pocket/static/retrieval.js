// Finds the passage that answers a question, by the typical questions beside each passage; see app/chat/retrieval.py.
import { BUTTERFLY, Reader, asks } from "./questions.js";
import { wordsOf } from "./english.js";

const MIN_SCORE = 0.55;
const MIN_COVERAGE = 0.5;
const COVERAGE_SHARE = 0.65;
const [PAIR, ASK, HOME, IN_PASSAGE] = [0.3, 0.4, 0.15, 0.6];
const MIN_SCORE_ELSEWHERE = 0.85;
const [CERTAIN_BONUS, SPECIES_BONUS] = [0.25, 0.12];
const MIXED = "life_cycle";
const YOUNG = ["egg", "caterpillar", "chrysali"];
const OF_ADULTS = ["wingspan", "identification"];
const NOT_HELD = 0.4;
const DURATION = /\b(days|weeks|months|years|an? (day|week|month))\b/;
const LOOK_ALIKE_BONUS = 0.6;
const MAX_CLAUSES = 6;
const MAX_QUESTION = 14;
const OVERVIEW = ["identification", "range", "host_plants", "wingspan", "flight_season"];

const entryOf = (passage) => (passage.species === null ? passage.title : passage.kind);
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const best = (found, limit) => found.sort((one, other) => other.score - one.score).slice(0, limit);

// Returns how the names of species begin in a text: "Painted Lad" of "Painted Lady" and "Painted Ladies".
export function namesOf(knowledge, about) {
  return about.map((one) => knowledge.find(one)?.name.replace(/y$/, "")).filter(Boolean);
}

export class Retriever {
  constructor(knowledge, lexicon) {
    this.knowledge = knowledge;
    const { passages, questions } = knowledge;
    const typical = passages.map((passage) => questions[entryOf(passage)] ?? []);
    const texts = [...passages.flatMap((passage) => [passage.title, passage.text]), ...typical.flat()];
    this.reader = new Reader(knowledge, new Set(texts.flatMap(wordsOf)), lexicon);
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
    this.counts = new Map();
    for (const read of entries.values()) {
      for (const stem of new Set(read.flatMap((question) => question.stems))) {
        this.counts.set(stem, (this.counts.get(stem) ?? 0) + 1);
      }
    }
    this.numEntries = entries.size;
    this.typical = new Map([...entries].map(([entry, read]) => [entry, read.map((one) => this.features(one))]));
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
    if (!asks(question)) return this.overview(about, limit);
    if (about.length > 1 && (question.stems.includes("differ") || question.words.includes("from"))) {
      return this.comparison(about, limit);
    }
    const asked = this.features(question);
    const total = sum([...asked.values()]);
    const certain = question.species.length > 0 || (question.refers && !question.general);
    const bonus = certain ? CERTAIN_BONUS : SPECIES_BONUS;
    const atHome = question.atHome || question.general || (about.length > 0 && certain);
    const names = namesOf(this.knowledge, about);
    const found = [];
    this.passages.forEach((passage, number) => {
      const ofSpecies = passage.species !== null;
      if (!total || (ofSpecies ? !about.includes(passage.species) : !atHome)) return;
      let score = this.score(asked, total, entryOf(passage), this.words[number]);
      const name = this.lookAlikes[number];
      const asksOfYoung = YOUNG.some((stem) => question.stems.includes(stem) && !this.words[number].has(stem));
      const young = OF_ADULTS.includes(passage.kind) && asksOfYoung;
      if (ofSpecies && (young || (passage.kind === MIXED && !this.holds(number, question)))) {
        score -= NOT_HELD;
      } else if (!ofSpecies && names.some((one) => passage.text.includes(one))) {
        score += SPECIES_BONUS;
      }
      if (name?.every((stem) => question.stems.includes(stem))) score += LOOK_ALIKE_BONUS;
      if (score >= (atHome ? MIN_SCORE : MIN_SCORE_ELSEWHERE)) {
        found.push({ passage, score: score + (ofSpecies ? bonus : 0) });
      }
    });
    return best(found, limit);
  }

  // Returns whether a passage says something of what is asked, and how long it is if that is asked.
  holds(number, question) {
    const timed = !question.stems.includes("long") || DURATION.test(this.passages[number].text);
    return timed && question.stems.some((stem) => this.words[number].has(stem));
  }

  needsSpecies(question) {
    const asked = this.features(question);
    const total = sum([...asked.values()]);
    if (!total) return false;
    const kinds = new Set(this.passages.filter((passage) => passage.species !== null).map(entryOf));
    return Math.max(...[...kinds].map((kind) => this.score(asked, total, kind, new Set()))) >= MIN_SCORE;
  }

  score(asked, total, entry, words) {
    let highest = 0;
    const beyond = [...asked.keys()].filter((feature) => this.reader.beyond.has(feature));
    for (const typical of this.typical.get(entry)) {
      const ofYoung = asked.has(BUTTERFLY) && YOUNG.some((stem) => typical.has(stem) && !asked.has(stem));
      if (ofYoung || beyond.some((stem) => !typical.has(stem))) continue;
      let both = 0;
      let more = 0;
      for (const [feature, weight] of asked) {
        if (typical.has(feature)) both += weight;
        else if (words.has(feature)) more += weight;
      }
      const coverage = (both + IN_PASSAGE * more) / total;
      if (coverage < MIN_COVERAGE || !both) continue;
      const shared = sum([...typical].filter(([feature]) => asked.has(feature)).map(([, weight]) => weight));
      const share = shared / sum([...typical.values()]);
      highest = Math.max(highest, COVERAGE_SHARE * coverage + (1 - COVERAGE_SHARE) * share);
    }
    return highest;
  }

  // Returns the weights of the words of a question, of its pairs of words and of its question words.
  features(question) {
    const stems = question.stems.slice(0, MAX_QUESTION);
    const found = new Map(stems.map((stem) => [stem, this.weight(stem)]));
    for (let place = 1; place < stems.length; place += 1) {
      const [one, other] = [stems[place - 1], stems[place]];
      found.set(`${one} ${other}`, (PAIR * (this.weight(one) + this.weight(other))) / 2);
    }
    for (const word of question.ask) found.set(`?${word}`, ASK);
    return found;
  }

  weight(stem) {
    if (stem === BUTTERFLY) return HOME;
    return Math.log(1 + this.numEntries / (1 + (this.counts.get(stem) ?? 0)));
  }

  overview(about, limit) {
    const found = this.passages
      .filter((passage) => about.includes(passage.species) && OVERVIEW.includes(passage.kind))
      .map((passage) => ({ passage, score: OVERVIEW.length - OVERVIEW.indexOf(passage.kind) }));
    return best(found, limit);
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
