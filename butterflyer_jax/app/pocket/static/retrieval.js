// Finds the passage that answers a question, by the typical questions beside each passage; see app/chat/retrieval.py.
import { BUTTERFLY, Reader, asks } from "./questions.js";
import { wordsOf } from "./english.js";

const [MIN_SCORE, MIN_SCORE_TOPIC] = [0.75, 0.85];
const [MIN_COVERAGE, MIN_COVERAGE_NEAR] = [0.5, 0.2];
const [MIN_WITH_LEAD, MAX_LEAD] = [1.15, 0.3];
const COVERAGE_SHARE = 0.65;
const HELD_SHARE = 0.4;
const [PAIR, ASK, HOME, IN_PASSAGE, IN_OTHERS] = [0.3, 0.8, 0.15, 0.6, 0.8];
const MIN_SCORE_ELSEWHERE = 1.05;
const [CERTAIN_BONUS, SPECIES_BONUS, NAMED_BONUS, EXACT_BONUS] = [0.4, 0.12, 0.38, 0.1];
const MIXED = "life_cycle";
const YOUNG = ["egg", "caterpillar", "chrysali"];
const OF_ONE_STAGE = [...YOUNG, "moth", "cocoon"];
const OF_ADULTS = ["wingspan", "identification"];
const NOT_HELD = 0.6;
const DURATION = /\b(days|weeks|months|years|an? (day|week|month))\b/;
const LOOK_ALIKE_BONUS = 1.1;
const MAX_CLAUSES = 6;
const MAX_QUESTION = 14;
const OVERVIEW = ["identification", "range", "host_plants", "wingspan", "flight_season"];
const IN_GENERAL = "Butterflies in a few words";

const entryOf = (passage) => (passage.species === null ? passage.title : passage.kind);
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const sorted = (found) => found.sort((one, other) => other.score - one.score);

// Returns whether the first passage, if it is a topic, fits well or much better than the others.
function leads([first, next]) {
  if (!first || first.passage.species !== null) return Boolean(first);
  const lead = next ? first.score - next.score : MAX_LEAD;
  return first.score + Math.min(lead, MAX_LEAD) >= MIN_WITH_LEAD;
}

// Returns how much a passage holds of each stem, from those of its text and how many typical questions hold one.
function heldBy(words, questions) {
  const counts = new Map();
  for (const stem of questions.flatMap((question) => [...new Set(question.stems)])) {
    counts.set(stem, (counts.get(stem) ?? 0) + 1);
  }
  const held = new Map([...counts].map(([stem, count]) => [stem, (IN_OTHERS * count) / (count + 1)]));
  for (const stem of words) held.set(stem, Math.max(IN_PASSAGE, held.get(stem) ?? 0));
  return held;
}

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
    this.held = passages.map((passage, number) => heldBy(this.words[number], entries.get(entryOf(passage))));
    this.numEntries = entries.size;
    this.typical = new Map(
      [...entries].map(([entry, read]) => [entry, read.map((one) => [this.features(one), one.species])]),
    );
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
    const asked = this.features(question);
    const total = sum([...asked.values()]);
    const certain = question.species.length > 0 || (question.refers && !question.general);
    const bonus = certain ? CERTAIN_BONUS : SPECIES_BONUS;
    const atHome = question.atHome || question.general || (about.length > 0 && certain);
    const names = namesOf(this.knowledge, about);
    const found = [];
    this.passages.forEach((passage, number) => {
      const ofSpecies = passage.species !== null;
      if (!total || (ofSpecies && !about.includes(passage.species))) return;
      let [score, coverage, typical] = this.score(asked, total, entryOf(passage), this.held[number], about);
      if (!ofSpecies && !atHome && !this.askedAnywhere(passage, question)) return;
      const name = this.lookAlikes[number];
      const asksOfYoung = YOUNG.some((stem) => question.stems.includes(stem) && !this.words[number].has(stem));
      const young = OF_ADULTS.includes(passage.kind) && asksOfYoung;
      if (ofSpecies && (young || (passage.kind === MIXED && !this.holds(number, question)))) {
        score -= NOT_HELD;
      } else if (!ofSpecies && names.some((one) => passage.text.includes(one))) {
        score += SPECIES_BONUS;
      }
      const named = Boolean(name?.every((stem) => question.stems.includes(stem)));
      if (named) score += LOOK_ALIKE_BONUS;
      const ofKind = ofSpecies ? MIN_SCORE : MIN_SCORE_TOPIC;
      const enough = score >= (atHome ? ofKind : MIN_SCORE_ELSEWHERE) && (named || coverage >= MIN_COVERAGE);
      if (score > 0) found.push({ passage, score: score + (ofSpecies ? bonus : 0), typical, enough });
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
    const asked = this.features(question);
    const total = sum([...asked.values()]);
    if (!total) return false;
    const kinds = new Set(this.passages.filter((passage) => passage.species !== null).map(entryOf));
    return [...kinds].some((kind) => {
      const [score, coverage] = this.score(asked, total, kind, new Map(), []);
      return score >= MIN_SCORE && coverage >= MIN_COVERAGE;
    });
  }

  // Returns how well the nearest typical question and the passage's words fit, the share of the question's words that
  // are held, and the place of that typical question.
  score(asked, total, entry, held, about) {
    let [highest, heldMost, place] = [0, 0, 0];
    const needed = [...asked.keys()].filter(
      (feature) => this.reader.beyond.has(feature) || (OF_ONE_STAGE.includes(feature) && !held.has(feature)),
    );
    const words = [...asked].filter(([feature]) => feature[0] !== "?" && !feature.includes(" "));
    const specific = words.map(([word]) => word).filter((word) => word !== BUTTERFLY);
    for (const [number, [typical, named]] of this.typical.get(entry).entries()) {
      if (!specific.some((word) => typical.has(word))) continue;
      if (!named.every((species) => about.includes(species))) continue;
      const ofYoung = asked.has(BUTTERFLY) && YOUNG.some((stem) => typical.has(stem) && !asked.has(stem));
      if (ofYoung || needed.some((stem) => !typical.has(stem))) continue;
      let [both, more, common] = [0, 0, 0];
      for (const [feature, weight] of asked) {
        if (typical.has(feature)) [both, common] = [both + weight, common + 1];
        else more += weight * (held.get(feature) ?? 0);
      }
      const coverage = (both + more) / total;
      if (coverage < MIN_COVERAGE_NEAR || !both) continue;
      const shared = sum([...typical].filter(([feature]) => asked.has(feature)).map(([, weight]) => weight));
      const share = shared / sum([...typical.values()]);
      const exact = common === asked.size && common === typical.size;
      const bonus = (named.length ? NAMED_BONUS : 0) + (exact ? EXACT_BONUS : 0);
      const score = COVERAGE_SHARE * coverage + (1 - COVERAGE_SHARE) * share + bonus;
      // One that holds enough of the question before one that does not.
      const better = Number(coverage >= MIN_COVERAGE) - Number(heldMost >= MIN_COVERAGE) || score - highest;
      if (better > 0) [highest, heldMost, place] = [score, coverage, number];
    }
    const all = sum(words.map(([, weight]) => weight));
    const share = all ? sum(words.map(([word, weight]) => weight * (held.get(word) ?? 0))) / all : 0;
    return [highest ? highest + HELD_SHARE * share : 0, heldMost, place];
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
