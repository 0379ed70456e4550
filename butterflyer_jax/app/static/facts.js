// What the knowledge base says of the species on the picture.
import { element, getJson, link, make, plain, sourceItem } from "./common.js";

// Shown at once; the others open on demand.
const FIRST = ["identification", "wingspan", "range"];

let shown = null;

// Shows the facts; returns whether there are any, and nothing where another photo was chosen since.
export async function showFacts(identified) {
  const section = element("facts");
  shown = identified;
  if (!identified || identified.verdict === "none") {
    section.hidden = true;
    return false;
  }
  const found = await getJson(`api/species/${encodeURIComponent(identified.species)}`).catch(() => null);
  if (shown !== identified) return undefined;
  section.hidden = found === null;
  element("facts-perhaps").hidden = identified.verdict === "named";
  if (found) fill(found);
  return Boolean(found?.known);
}

function fill(found) {
  element("facts-name").textContent = plain(found.name);
  const about = element("facts-about");
  about.replaceChildren(
    found.known
      ? make("i", {}, found.scientific_name)
      : "Nothing is known here of this species beyond its name: no size, range, food or season. " +
          "The chat still answers questions about butterflies in general.",
  );
  const rows = (facts) => facts.flatMap((fact) => [make("dt", {}, fact.title), cited(fact, found.sources)]);
  element("facts-first").replaceChildren(...rows(found.facts.filter((fact) => FIRST.includes(fact.kind))));
  const rest = found.facts.filter((fact) => !FIRST.includes(fact.kind));
  const more = rest.map((fact) => fact.title.toLowerCase()).join(", ");
  fold("facts-more", rows(rest), `More: ${more}`);
  const alike = found.look_alikes.flatMap((other) => [
    make("dt", {}, other.name, " ", make("i", {}, other.scientific_name)),
    cited(other, found.sources),
  ]);
  fold("facts-alike", alike, `Look-alikes: ${found.look_alikes.map((other) => other.name).join(", ")}`);
  fold("facts-sources", found.sources.map(sourceItem), `${found.sources.length} sources`);
}

function fold(id, children, title) {
  const details = element(id);
  details.hidden = children.length === 0;
  details.open = false;
  details.querySelector("summary").textContent = title;
  details.lastElementChild.replaceChildren(...children);
}

function cited(fact, sources) {
  const marks = fact.sources.map((number) => link(sources[number - 1], `${number}`));
  const spaced = marks.flatMap((mark, place) => (place ? [" ", mark] : [mark]));
  return make("dd", {}, fact.text, " ", make("sup", {}, ...spaced));
}
