// Answers that take facts of several species: sizes, counts, and which have a property; see app/chat/comparisons.py.
import { BUTTERFLY } from "./questions.js";

const LARGEST = ["biggest", "largest", "widest"];
const SMALLEST = ["smallest", "tiniest"];
const SIZE = ["big", "bigger", "large", "larger", "small", "smaller", "size", "wingspan", "wider"];
const OURS = ["know", "these", "those", "them", "your", "list", "ones", "recognise", "recognize", "identify"];
const HEADS = ["butterfly", "butterflies", "species", "ones", "one", "of", "caterpillar", "caterpillars"];
const EXTREME = ["biggest", "tiniest", "one"];
const WORLD = ["world", "earth", "planet"];
const CONTINENTS = {
  "Africa": ["africa", "african"],
  "Asia": ["asia", "asian"],
  "Australia": ["australia", "australian"],
  "Europe": ["europe", "european"],
  "North America": ["america", "american"],
  "South America": ["america", "american"],
};
const COLOURS = ["black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow"];
const MARKS = ["eyespots", "spots", "stripes", "striped", "tail", "tails"];
const WINTER = ["winter", "hibern", "cold", "surviv"];
const STAGES = ["egg", "caterpillar", "chrysalis", "adult"];
const LISTED = [
  ["host_plants", ["eat", "hostplant", "plant", "lay"]],
  ["family", ["famili", "belong", "genus", "relat"]],
];

const any = (set, list) => list.some((one) => set.has(one));
const the = (species, article = "The") => `${article} ${species.name} (${species.scientific_name})`;
const span = ({ wingspan_mm: [low, high] }) => `${low} to ${high} mm`;
const line = (text, sources = []) => ({ text, sources });

function listed(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}

export class Comparer {
  constructor(knowledge, reader) {
    this.knowledge = knowledge;
    this.reader = reader;
  }

  // Returns the sentences that answer a question over several species; none for another question.
  compare({ question, about }) {
    const words = new Set(question.words);
    const named = about.map((name) => this.knowledge.find(name)).filter(Boolean);
    const extreme = any(words, [...LARGEST, ...SMALLEST]);
    if (named.length > 1 && (any(words, SIZE) || extreme)) return sizes(named);
    const otherMatters = question.stems.some((stem) => this.reader.beyond.has(stem));
    if (question.species.length || question.ofPhoto || otherMatters || !this.knowledge.species.length) return [];
    const ours = any(words, OURS) || words.has("species");
    const plainly = question.stems.every((stem) => EXTREME.includes(stem));
    if (extreme && !any(words, WORLD) && (ours || plainly)) {
      const ofTopic = any(new Set(question.stems), ["famili", "caterpillar", "egg", "moth"]);
      return ofTopic ? [] : this.extreme(any(words, SMALLEST));
    }
    if (asksForList(words)) {
      const { species } = this.knowledge;
      return [line(`I know ${species.length} species: ${listed(species.map((one) => one.name))}.`)];
    }
    return asksForSpecies(question.words) ? this.having(question, words) : [];
  }

  extreme(smallest) {
    const key = ({ wingspan_mm: [low, high] }) => (smallest ? low : -high);
    const ranked = [...this.knowledge.species].sort((one, other) => key(one) - key(other));
    const word = smallest ? "smallest" : "largest";
    const first = `Of the ${ranked.length} species that I know, ${the(ranked[0], "the")} is the ${word}, with a `;
    const lines = [line(`${first}wingspan of ${span(ranked[0])}.`, ranked[0].facts.wingspan.sources)];
    if (ranked.length > 1) {
      const next = `After it comes ${the(ranked[1], "the")} with ${span(ranked[1])}.`;
      lines.push(line(next, ranked[1].facts.wingspan.sources));
    }
    return lines;
  }

  // Returns the species that have the property that a question asks for.
  having(question, words) {
    const found = new Set(Object.keys(CONTINENTS).filter((place) => any(words, CONTINENTS[place])));
    if (words.has("south")) found.delete("North America");
    if (words.has("north")) found.delete("South America");
    if (found.size) {
      return this.list("range", `live in ${listed([...found].sort())}`, (one) => any(found, one.continents));
    }
    const stems = new Set(question.stems);
    if (stems.has("migrat") && !any(words, ["farthest", "furthest", "why", "how"])) {
      return this.list("life_cycle", "migrate or move north again each year", (one) => one.migrates);
    }
    if (any(stems, WINTER)) {
      let stages = STAGES.filter((stage) => words.has(stage) || words.has(`${stage}s`));
      if (!stages.length && any(words, ["butterfly", "butterflies"])) stages = ["adult"];
      if (stages.length) {
        const doing = `pass a cold winter as ${listed(stages)}`;
        return this.list("life_cycle", doing, (one) => stages.some((stage) => one.winter.includes(stage)));
      }
    }
    const marks = [...COLOURS, ...MARKS].filter((mark) => words.has(mark)).sort();
    if (marks.length) {
      const wanted = this.reader.stemsOf(marks.join(" "));
      return this.list("identification", `are described as ${listed(marks)}`, this.holds("identification", wanted));
    }
    for (const [kind, asked] of LISTED) {
      const other = new Set([...asked, BUTTERFLY, "caterpillar", "know", "mani", "grow", "live"]);
      const rest = [...stems].filter((stem) => !other.has(stem));
      if (rest.length && (any(stems, asked) || kind === "family")) {
        const lines = this.list(kind, "", this.holds(kind, rest));
        if (lines.length) return lines;
      }
    }
    return [];
  }

  holds(kind, stems) {
    return (species) => {
      const held = new Set(this.reader.stemsOf(species.facts[kind].text));
      return stems.every((stem) => held.has(stem));
    };
  }

  list(kind, doing, has) {
    const found = this.knowledge.species.filter(has);
    if (!found.length) return [];
    const sources = [...new Set(found.flatMap((one) => one.facts[kind].sources.slice(0, 1)))];
    const count = `${found.length} of the ${this.knowledge.species.length} species that I know`;
    const names = listed(found.map((one) => one.name));
    if (doing) return [line(`${names}: ${count} ${doing}.`, sources)];
    const facts = found.map((one) => line(`${one.name}: ${one.facts[kind].text}`, one.facts[kind].sources));
    return found.length > 1 ? [line(`${names} (${count}).`), ...facts] : facts;
  }
}

function sizes(named) {
  const total = ({ wingspan_mm: [low, high] }) => low + high;
  const ranked = [...named].sort((one, other) => total(other) - total(one));
  const lines = ranked.map((one) => line(`${the(one)}: ${span(one)}`, one.facts.wingspan.sources));
  const [first, last] = [ranked[0], ranked.at(-1)];
  const often = first.wingspan_mm[0] < last.wingspan_mm[1] ? "mostly" : "always";
  const nested = first.wingspan_mm[0] <= last.wingspan_mm[0] || first.wingspan_mm[1] <= last.wingspan_mm[1];
  const text = nested
    ? `${the(first)} and ${the(last, "the")} are about the same size.`
    : `${the(first)} is ${often} larger than ${the(last, "the")}.`;
  return [line(text), ...lines];
}

function asksForSpecies(words) {
  const plain = words.filter((word) => !COLOURS.includes(word));
  // "Why are there so many butterflies?" asks for no list.
  const heads = plain.filter((_, place) => HEADS.includes(plain[place + 1]));
  return heads.some((one) => ["which", "what", "any"].includes(one) || (one === "many" && plain.includes("how")));
}

function asksForList(words) {
  const counted = any(words, ["species", "butterflies", "kinds", "types", "ones", "names"]);
  const ours = any(words, ["know", "recognise", "recognize", "identify", "list", "name"]) && words.has("you");
  const about = words.has("you") && words.has("tell") && words.has("about");
  return counted && (ours || about) && any(words, ["which", "what", "how", "list"]);
}
