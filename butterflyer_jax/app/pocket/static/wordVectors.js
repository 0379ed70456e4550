// Vectors of words, by which questions in other words are compared; see app/chat/word_vectors.py.
const MAX_WORDS = 40;
const IT = ["it", "its", "he", "his", "she", "her", "butterfly", "butterflies"];
export const ONE = "butterfly";
const ZERO = 55;

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// The words of a question about a species, which is called "butterfly".
export const ofFact = (text) => [...text.filter((word) => !IT.includes(word)), ONE];

export const dot = (one, other) => {
  let total = 0;
  for (let place = 0; place < one.length; place += 1) total += one[place] * other[place];
  return total;
};

export class WordVectors {
  constructor({ words, scales, values }) {
    this.places = new Map(words.split(" ").map((word, place) => [word, place]));
    this.scales = new Float32Array(bytes(scales).buffer);
    this.values = Int8Array.from(values, (letter) => letter.charCodeAt(0) - ZERO);
    this.dimensions = this.values.length / this.scales.length;
  }

  // Returns the vector of the words of a text, of length 1; 0 for unknown words only.
  embed(text) {
    const total = new Float64Array(this.dimensions);
    for (const word of text.slice(0, MAX_WORDS)) {
      const row = this.places.get(word);
      if (row === undefined) continue;
      const start = row * this.dimensions;
      for (let place = 0; place < total.length; place += 1) {
        total[place] += this.scales[row] * this.values[start + place];
      }
    }
    const length = Math.max(Math.sqrt(dot(total, total)), 1e-9);
    return total.map((value) => value / length);
  }
}
