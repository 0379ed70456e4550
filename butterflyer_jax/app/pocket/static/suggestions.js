// Questions to choose from where it is not certain what a message asks; see app/chat/suggestions.py.
import { asks } from "./questions.js";

const MAX_SUGGESTIONS = 3;
const [MIN_SCORE, CLEAR_SCORE, CLEAR_SCORE_SPECIES, CLEAR_LEAD] = [1.5, 2.9, 3.1, 0.15];
const MAX_TRIED = 4;
const IT = /\b([Ii])t(s?)\b/g;
const MANY = /\b(they|them|their|these|those|ones?)\b/i;

// Returns whether the best passage is sure to answer.
function clear([first, ...others]) {
  const least = first.passage.species === null ? CLEAR_SCORE : CLEAR_SCORE_SPECIES;
  return first.score >= least && others.every(({ score }) => first.score - score >= CLEAR_LEAD);
}

export class Suggester {
  constructor(retriever) {
    this.retriever = retriever;
  }

  // Returns up to three questions that the base answers, beside what answers already.
  suggest({ question, about }, found) {
    const ofButterflies = question.atHome || question.general || (question.refers && about.length > 0);
    if (question.foreign || !asks(question) || !ofButterflies || (found.length && clear(found))) return [];
    const chosen = [];
    for (const near of this.retriever.nearest(question, about)) {
      if (near.score < MIN_SCORE || chosen.length === MAX_SUGGESTIONS) break;
      if (near.passage === found[0]?.passage) continue;
      const text = this.askingFor(near);
      if (text && !chosen.includes(text)) chosen.push(text);
    }
    return chosen;
  }

  // Returns the typical question of a passage, the nearest if it can be, that finds it when it is asked by itself.
  askingFor({ passage, typical: place }) {
    const { knowledge } = this.retriever;
    const typical = knowledge.questions[passage.species === null ? passage.title : passage.kind];
    const species = passage.species === null ? null : knowledge.find(passage.species);
    for (const text of new Set([typical[place], ...typical.slice(0, MAX_TRIED)])) {
      if (species && (MANY.test(text) || text.search(IT) < 0)) continue;
      const named = (_, first, its) => `${first === "I" ? "T" : "t"}he ${species.name}${its && "'s"}`;
      const asked = species ? text.replace(IT, named) : text;
      if (this.retriever.search(asked, 1)[0]?.passage === passage) return asked;
    }
    return "";
  }
}
