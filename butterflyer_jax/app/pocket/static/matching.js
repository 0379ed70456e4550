// Compares a question with the typical questions of an entry, by words and by meaning; see app/chat/matching.py.
import { BUTTERFLY } from "./questions.js";
import { dot, ofFact } from "./wordVectors.js";

const MIN_COVERAGE = 0.2;
const COVERAGE_SHARE = 0.65;
const HELD_SHARE = 0.4;
const [PAIR, ASK, HOME, IN_PASSAGE, IN_OTHERS] = [0.3, 0.8, 0.15, 0.6, 0.8];
const [NAMED_BONUS, EXACT_BONUS] = [0.38, 0.1];
const MEANING = 2.0;
export const YOUNG = ["egg", "caterpillar", "chrysali"];
const OF_ONE_STAGE = [...YOUNG, "moth", "cocoon"];
const MAX_QUESTION = 14;

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// Returns how much a passage holds of each stem, from those of its text and how many typical questions hold one.
export function weightsHeld(words, questions) {
  const counts = new Map();
  for (const stem of questions.flatMap((question) => [...new Set(question.stems)])) {
    counts.set(stem, (counts.get(stem) ?? 0) + 1);
  }
  const held = new Map([...counts].map(([stem, count]) => [stem, (IN_OTHERS * count) / (count + 1)]));
  for (const stem of words) held.set(stem, Math.max(IN_PASSAGE, held.get(stem) ?? 0));
  return held;
}

// Returns the share of common words by weight; 0 for hardly any.
function byWords(asked, total, typical, held) {
  let [both, more, common] = [0, 0, 0];
  for (const [feature, weight] of asked) {
    if (typical.has(feature)) [both, common] = [both + weight, common + 1];
    else more += weight * (held.get(feature) ?? 0);
  }
  const coverage = (both + more) / total;
  if (coverage < MIN_COVERAGE || !both) return 0;
  const shared = sum([...typical].filter(([feature]) => asked.has(feature)).map(([, weight]) => weight));
  const exact = common === asked.size && common === typical.size;
  const share = shared / sum([...typical.values()]);
  return COVERAGE_SHARE * coverage + (1 - COVERAGE_SHARE) * share + (exact ? EXACT_BONUS : 0);
}

export class Matcher {
  // Takes the typical questions by entry, which entries are about a species, the reader and the vectors of words.
  constructor(entries, facts, reader, vectors) {
    Object.assign(this, { facts, reader, vectors });
    this.numEntries = entries.size;
    this.counts = new Map();
    for (const read of entries.values()) {
      for (const stem of new Set(read.flatMap((question) => question.stems))) {
        this.counts.set(stem, (this.counts.get(stem) ?? 0) + 1);
      }
    }
    this.typical = new Map(
      [...entries].map(([entry, read]) => [
        entry,
        read.map((question) => {
          const { features, meaning } = this.prepare(question);
          return { features, named: question.species, meaning: meaning[facts.has(entry) ? 1 : 0] };
        }),
      ]),
    );
  }

  prepare(question) {
    const stems = question.stems.slice(0, MAX_QUESTION);
    const features = new Map(stems.map((stem) => [stem, this.weight(stem)]));
    for (let place = 1; place < stems.length; place += 1) {
      const [one, other] = [stems[place - 1], stems[place]];
      features.set(`${one} ${other}`, (PAIR * (this.weight(one) + this.weight(other))) / 2);
    }
    for (const word of question.ask) features.set(`?${word}`, ASK);
    const ofTopic = this.vectors.embed([...question.said, ...question.names]);
    return { features, meaning: [ofTopic, this.vectors.embed(ofFact(question.said))] };
  }

  // Returns how well an entry matches, and the place of the nearest typical question.
  match({ features, meaning }, entry, held, about) {
    const total = sum([...features.values()]);
    const words = [...features].filter(([feature]) => feature[0] !== "?" && !feature.includes(" "));
    const specific = words.map(([word]) => word).filter((word) => word !== BUTTERFLY);
    const needed = [...features.keys()].filter(
      (feature) => this.reader.beyond.has(feature) || (OF_ONE_STAGE.includes(feature) && !held.has(feature)),
    );
    const asked = meaning[this.facts.has(entry) ? 1 : 0];
    let [lexical, nearest, place] = [0, 0, 0];
    for (const [number, typical] of this.typical.get(entry).entries()) {
      const has = (stem) => typical.features.has(stem);
      const ofYoung = features.has(BUTTERFLY) && YOUNG.some((stem) => has(stem) && !features.has(stem));
      const named = typical.named.every((species) => about.includes(species));
      if (ofYoung || !named || !needed.every(has)) continue;
      const cosine = dot(asked, typical.meaning);
      if (cosine > nearest) [nearest, place] = [cosine, number];
      if (!specific.some(has)) continue;
      const found = byWords(features, total, typical.features, held);
      lexical = Math.max(lexical, found + (found && typical.named.length ? NAMED_BONUS : 0));
    }
    if (lexical) {
      const all = sum(words.map(([, weight]) => weight));
      lexical += (HELD_SHARE * sum(words.map(([word, weight]) => weight * (held.get(word) ?? 0)))) / all;
    }
    return { score: lexical + MEANING * nearest, typical: place };
  }

  weight(stem) {
    if (stem === BUTTERFLY) return HOME;
    return Math.log(1 + this.numEntries / (1 + (this.counts.get(stem) ?? 0)));
  }
}
