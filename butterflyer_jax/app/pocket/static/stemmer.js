// Stems of English words: the Porter2 algorithm, https://snowballstem.org/algorithms/english/stemmer.html

const VOWEL = "[aeiouy]";
const DOUBLE = /(bb|dd|ff|gg|mm|nn|pp|rr|tt)$/;
// A short syllable at the end of a word.
const SHORT = new RegExp(`(^${VOWEL}[^aeiouy]|[^aeiouy]${VOWEL}[^aeiouywxY]|^past)$`);

const FIXED = {
  skis: "ski", skies: "sky", idly: "idl", gently: "gentl", ugly: "ugli", early: "earli", only: "onli", singly: "singl",
  sky: "sky", news: "news", howe: "howe", atlas: "atlas", cosmos: "cosmos", bias: "bias", andes: "andes",
};
const STEP_2 = {
  tional: "tion", enci: "ence", anci: "ance", abli: "able", entli: "ent", izer: "ize", ization: "ize",
  ational: "ate", ation: "ate", ator: "ate", alism: "al", aliti: "al", alli: "al", fulness: "ful", ousli: "ous",
  ousness: "ous", iveness: "ive", iviti: "ive", biliti: "ble", bli: "ble", ogist: "og", fulli: "ful", lessli: "less",
};
const STEP_3 = {
  tional: "tion", ational: "ate", alize: "al", icate: "ic", iciti: "ic", ical: "ic", ful: "", ness: "",
};
const STEP_4 = [
  "ement", "ment", "able", "ible", "ance", "ence", "ate", "iti", "ous", "ive", "ize", "ism", "ant", "ent", "al", "er", "ic",
];

export function stem(word) {
  if (word.length <= 2) return word;
  if (word in FIXED) return FIXED[word];
  // A y that is a consonant is written Y.
  let w = word.replace(/^y/, "Y").replace(/([aeiouy])y/g, "$1Y");
  const r1 = region(w, /^(gener|commun|arsen|past|univers|later|emerg|organ|inter)/);
  const after = new RegExp(`^.{${r1}}.*?${VOWEL}[^aeiouy]`, "s").exec(w);
  const r2 = after ? after[0].length : w.length;
  const inR1 = (suffix) => w.length - suffix.length >= r1;
  const inR2 = (suffix) => w.length - suffix.length >= r2;
  const cut = (suffix, by = "") => {
    w = w.slice(0, w.length - suffix.length) + by;
  };

  // Step 1a.
  if (w.endsWith("sses")) cut("sses", "ss");
  else if (/(ied|ies)$/.test(w)) w = w.length > 4 ? w.replace(/(ied|ies)$/, "i") : w.replace(/(ied|ies)$/, "ie");
  else if (/s$/.test(w) && !/(us|ss)$/.test(w) && new RegExp(`${VOWEL}.+s$`).test(w)) cut("s");

  // Step 1b.
  const ending = /(eedly|ingly|edly|eed|ing|ed)$/.exec(w)?.[0];
  if (ending === "eed" || ending === "eedly") {
    if (inR1(ending) && !/^(proc|exc|succ)eed/.test(w)) cut(ending, "ee");
  } else if (ending) {
    const rest = w.slice(0, w.length - ending.length);
    if (ending === "ing" && /^[^aeiouy]y$/i.test(rest)) w = `${rest.slice(0, -1)}ie`;
    else if (ending === "ing" && /^(even|cann|inn|earr|herr|out)$/.test(rest)) return w.toLowerCase();
    else if (new RegExp(VOWEL).test(rest)) {
      w = rest;
      if (/(at|bl|iz)$/.test(w)) w += "e";
      else if (DOUBLE.test(w) && !/^[aeo](bb|dd|ff|gg|mm|nn|pp|rr|tt)$/.test(w)) w = w.slice(0, -1);
      else if (w.length <= r1 && SHORT.test(w)) w += "e";
    }
  }

  // Step 1c.
  if (w.length > 2 && /[^aeiouy][yY]$/.test(w)) w = `${w.slice(0, -1)}i`;

  // Step 2.
  const second = longest(w, [...Object.keys(STEP_2), "ogi", "li"]);
  if (second && inR1(second)) {
    if (second === "ogi") {
      if (w.endsWith("logi")) cut("ogi", "og");
    } else if (second === "li") {
      if (/[cdeghkmnrt]li$/.test(w)) cut("li");
    } else cut(second, STEP_2[second]);
  }

  // Step 3.
  const third = longest(w, [...Object.keys(STEP_3), "ative"]);
  if (third && inR1(third)) {
    if (third === "ative") {
      if (inR2(third)) cut(third);
    } else cut(third, STEP_3[third]);
  }

  // Step 4.
  const fourth = longest(w, [...STEP_4, "ion"]);
  if (fourth && inR2(fourth) && (fourth !== "ion" || /[st]ion$/.test(w))) cut(fourth);

  // Step 5.
  if (w.endsWith("e")) {
    if (inR2("e") || (inR1("e") && !SHORT.test(w.slice(0, -1)))) cut("e");
  } else if (w.endsWith("ll") && inR2("l")) cut("l");
  return w.toLowerCase();
}

// Returns where the part after the first consonant that follows a vowel begins.
function region(w, prefixes) {
  const prefix = prefixes.exec(w);
  if (prefix) return prefix[0].length;
  const found = new RegExp(`^.*?${VOWEL}[^aeiouy]`).exec(w);
  return found ? found[0].length : w.length;
}

function longest(w, suffixes) {
  return suffixes.filter((suffix) => w.endsWith(suffix)).sort((one, other) => other.length - one.length)[0];
}
