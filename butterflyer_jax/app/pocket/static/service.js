// The page's one door to what answers: here the network and the knowledge base in the browser itself.
import { makeAnswerer } from "./answerer.js";
import { decode, isJpeg } from "./decode.js";
import { inflate, loadNetwork } from "./network.js";
import { toInput } from "./resize.js";
import { search } from "./search.js";

const base = new URL(".", import.meta.url);
const site = await (await fetch(new URL("site.json", base))).json();
const network = loadNetwork(base);
const answerer = fetch(new URL("chat.json.gz", base)).then(inflate).then(async (file) => makeAnswerer(await file.json()));

// As the service answers.
const TOP = 5;
const DECIMALS = 1e6;
const VERDICTS = { "": "unsure", species: "named" };

export async function getJson(url) {
  if (url === "api/about") return site.about;
  const label = decodeURIComponent(url.replace("api/species/", ""));
  if (!(label in site.species)) throw new Error("not a species of this model");
  return site.species[label];
}

export async function postForm(url, body) {
  if (!url.startsWith("api/predict")) throw new Error("nothing is sent from here");
  const file = body.get("file");
  const image = await decode(file);
  const jpeg = await isJpeg(file);
  if (new URLSearchParams(url.split("?")[1]).get("search") === "true") {
    const { part, ...answer } = await search(await network, site.answers.limit, image, jpeg, site.input);
    return { ...describe(answer), part };
  }
  return describe((await network).answer(toInput(image, jpeg, site.input)));
}

export async function postStream(url, conversation, onEvent) {
  for (const event of (await answerer)(conversation)) onEvent(event);
}

function describe({ probabilities, typicality }) {
  const { species, sure, limit, threshold, ranks } = site.answers;
  const rounded = probabilities.map((probability) => Math.round(DECIMALS * probability) / DECIMALS);
  const ranked = species
    .map((name, place) => ({ species: name, probability: rounded[place], exact: probabilities[place] }))
    .sort((one, other) => other.exact - one.exact)
    .slice(0, TOP)
    .map(({ species: name, probability }) => ({ species: name, probability }));
  const highest = Math.max(...probabilities);
  const refused = typicality === null ? highest < threshold : typicality > limit;
  const reached = ranks === null ? null : answerAt(ranks, probabilities, refused);
  const verdict = reached === null ? (highest >= sure ? "named" : "unsure") : VERDICTS[reached.rank ?? ""] ?? "higher";
  return {
    verdict: refused ? "none" : verdict,
    ...ranked[0],
    top5: ranked,
    probabilities: Object.fromEntries(species.map((name, place) => [name, rounded[place]])),
    typicality,
    ...(reached && { answer: reached }),
    // There are no heat maps.
    heat_map: null,
  };
}

// Returns the answer at the lowest rank whose most probable taxon is sure enough; see metrics/ranks.py.
function answerAt(ranks, probabilities, refused) {
  const { species, words } = site.answers;
  const nothing = { rank: null, name: null, probability: null };
  const nearest = (members) =>
    words[members.reduce((best, one) => (probabilities[one] > probabilities[best] ? one : best))];
  const all = species.map((_, place) => place);
  if (refused) return { ...nothing, text: `none of these, or unlike the training photos; nearest ${nearest(all)}` };
  for (const { name: rank, threshold, taxa } of ranks) {
    const sums = taxa.map(({ members }) => members.reduce((sum, one) => sum + probabilities[one], 0));
    const sum = Math.max(...sums);
    const { name, words: said, members } = taxa[sums.indexOf(sum)];
    // A taxon of one species, or of all, says no more than the species.
    const speaks = rank === "species" || (members.length > 1 && members.length < species.length);
    if (sum < threshold || !speaks) continue;
    const text = rank === "species" ? said : `${said}, perhaps ${nearest(members)}`;
    return { rank, name, probability: Math.round(DECIMALS * sum) / DECIMALS, text };
  }
  return { ...nothing, text: `not sure, perhaps ${nearest(all)}` };
}
