// Photos of the species, where the run keeps some: of all that the model knows, and of an answer beside those
// that it is confused with.
import { element, make, plain } from "./common.js";

const MAX_COMPARED = 3;
// A species with less is compared only where the model often confuses it with the answer.
const WORTH_COMPARING = 0.05;
// More names than these are unfolded on demand.
const FEW = 24;

// Returns the function that shows an answer's species, and its look-alikes, side by side; null for none.
export function startCompare({ species, examples, look_alikes: lookAlikes }) {
  const list = element("list");
  list.querySelector("summary").textContent = `It knows ${species.length} species, and no others`;
  list.querySelector("ul").replaceChildren(
    ...species.map((label) => make("li", {}, ...pictures(label).slice(0, 1), make("bdi", {}, plain(label)))),
  );
  list.classList.toggle("pictured", species.some((label) => examples[label]?.length));
  list.open = species.length <= FEW;

  function pictures(label) {
    const names = examples[label] ?? [];
    return names.map((name, place) => {
      const alt = `${plain(label)}, photo ${place + 1} of ${names.length}`;
      const image = make("img", { src: `api/examples/${name}`, alt, loading: "lazy" });
      const button = make("button", { type: "button", class: "example", "aria-label": `Enlarge ${alt}` }, image);
      button.addEventListener("click", () => enlarge(image, label));
      return button;
    });
  }

  return (answer) => {
    const isShown = answer && answer.verdict !== "none" && examples[answer.species]?.length > 0;
    element("compare").hidden = !isShown;
    if (!isShown) return;
    const compared = toCompare(answer).filter((label) => examples[label]?.length);
    element("compare-name").textContent = answer.verdict === "named" ? "Compare" : "Which of these is it?";
    element("compared").replaceChildren(
      ...compared.map((label) => make("div", {}, make("h4", {}, plain(label)), ...pictures(label))),
    );
    element("compare-note").textContent =
      compared.length > 1 && answer.verdict === "named"
        ? `It is most easily confused with ${compared.slice(1).map(plain).join(" and ")}.`
        : "";
  };

  function toCompare({ species: first, top5 }) {
    const likely = top5.filter(({ probability }) => probability >= WORTH_COMPARING).map((ranked) => ranked.species);
    return [...new Set([first, ...likely, ...(lookAlikes[first] ?? [])])].slice(0, MAX_COMPARED);
  }
}

function enlarge(image, label) {
  const dialog = element("enlarged");
  dialog.querySelector("img").src = image.src;
  dialog.querySelector("img").alt = image.alt;
  dialog.querySelector("p").textContent = plain(label);
  dialog.showModal();
}
