// The words of English questions: synonyms, stop words, phrases and spelling; see app/chat/english.py.
import { stem } from "./stemmer.js";

const MIN_MISSPELT = 5;
const MIN_CHANGED = 7;
const LONG_WORD = 9;

const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");

export const wordsOf = (text) => fold(text).match(/[\p{L}\p{N}]+/gu) ?? [];

// Phrases, each with meanings, that are looked up in the words of a text.
export class Phrases {
  constructor(meanings) {
    this.whole = new Map();
    this.prefixes = new Map();
    for (const [meaning, phrases] of Object.entries(meanings)) {
      for (const phrase of phrases) {
        const table = phrase.endsWith("*") ? this.prefixes : this.whole;
        const key = wordsOf(phrase).join(" ");
        table.set(key, [...(table.get(key) ?? []), meaning]);
      }
    }
    const lengths = [...this.whole.keys(), ...this.prefixes.keys()].map((key) => key.split(" ").length);
    this.longest = Math.max(0, ...lengths);
  }

  // Returns how many words from `start` on the longest phrase takes, and its meanings.
  at(words, start) {
    for (let length = Math.min(this.longest, words.length - start); length > 0; length -= 1) {
      const phrase = words.slice(start, start + length);
      const found = [...(this.whole.get(phrase.join(" ")) ?? []), ...this.begun(phrase)];
      if (found.length) return [length, found];
    }
    return [0, []];
  }

  begun(phrase) {
    const head = phrase.slice(0, -1);
    const last = phrase.at(-1);
    for (let end = last.length; end > 1; end -= 1) {
      const found = this.prefixes.get([...head, last.slice(0, end)].join(" "));
      if (found) return found;
    }
    return [];
  }

  // Returns [start, length, meanings] of the phrases of a text, which do not overlap.
  all(words) {
    const found = [];
    for (let start = 0; start < words.length; ) {
      const [length, meanings] = this.at(words, start);
      if (length) found.push([start, length, meanings]);
      start += length || 1;
    }
    return found;
  }

  words() {
    return [...this.whole.keys()].flatMap((key) => key.split(" "));
  }
}

export class Lexicon {
  constructor(document) {
    for (const name of ["stop", "refers", "refers_weakly", "home", "beyond", "photo", "general"]) {
      this[name] = new Phrases({ [name]: document[name] });
    }
    this.synonyms = new Phrases(document.synonyms);
    this.talk = new Phrases(document.talk);
    this.ask = new Set(document.ask);
    this.say = document.say;
  }

  // Returns the words that say what is asked, with synonyms as one word each.
  content(words) {
    const found = [];
    for (let start = 0; start < words.length; ) {
      const [stopped] = this.stop.at(words, start);
      const [length, meanings] = this.synonyms.at(words, start);
      if (length && length >= stopped) found.push(...meanings[0].split(" "));
      else if (!stopped) found.push(words[start]);
      start += Math.max(length, stopped, 1);
    }
    return found;
  }

  ownWords() {
    const phrases = [
      this.stop, this.synonyms, this.refers, this.refers_weakly, this.home, this.beyond, this.photo, this.general,
      this.talk,
    ];
    return [...this.ask, ...phrases.flatMap((each) => each.words())];
  }
}

export const stems = (words) => words.map(stem);

// The restricted Damerau-Levenshtein distance, at most `limit` + 1.
function edits(one, other, limit) {
  if (Math.abs(one.length - other.length) > limit) return limit + 1;
  let before = new Array(other.length + 1).fill(0);
  let last = Array.from({ length: other.length + 1 }, (_, place) => place);
  for (let i = 1; i <= one.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= other.length; j += 1) {
      row.push(Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1)));
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
        row[j] = Math.min(row[j], before[j - 2] + 1);
      }
    }
    if (Math.min(...row) > limit) return limit + 1;
    [before, last] = [last, row];
  }
  return Math.min(last.at(-1), limit + 1);
}

// Corrects words that are none of a vocabulary, where one of it is close.
export class Speller {
  constructor(vocabulary, short) {
    this.vocabulary = vocabulary;
    this.short = short;
    this.byLetter = new Map();
    for (const word of [...vocabulary].sort()) {
      if (word.length < MIN_MISSPELT - 1) continue;
      if (!this.byLetter.has(word[0])) this.byLetter.set(word[0], []);
      this.byLetter.get(word[0]).push(word);
    }
  }

  correct(word) {
    if (this.vocabulary.has(word) || !/^\p{L}+$/u.test(word)) return word;
    if (word.length < MIN_MISSPELT) {
      const close = this.short.filter((other) => word.length > 2 && edits(word, other, 1) <= 1);
      return close.length === 1 ? close[0] : word;
    }
    const limit = word.length >= LONG_WORD ? 2 : 1;
    const sorted = (text) => [...text].sort().join("");
    let best = [limit + 1, word];
    for (const other of this.byLetter.get(word[0]) ?? []) {
      if (word.length === other.length && word.length < MIN_CHANGED && sorted(word) !== sorted(other)) continue;
      const distance = edits(word, other, limit);
      // In the order of the alphabet, so the first of the nearest.
      if (distance < best[0]) best = [distance, other];
    }
    return best[1];
  }
}
