// The log of sightings: kept on this device alone, exported as a table or as Darwin Core.
import { element, getJson, make, plain } from "./common.js";
import { readExif } from "./exif.js";
import * as store from "./store.js";

const COLUMNS = {
  sightings: ["date", "species", "scientific name", "latitude", "longitude", "note"],
  darwin_core: ["occurrenceID", "basisOfRecord", "eventDate", "scientificName", "vernacularName", "decimalLatitude",
    "decimalLongitude", "geodeticDatum", "identificationRemarks", "occurrenceRemarks"],
};

let sightings = [];

export async function startSightings(about, current) {
  sightings = await store.all("sightings");
  list();
  element("log-add").addEventListener("click", async () => {
    const picture = current();
    const taken = await readExif(picture.file);
    element("log-form").hidden = false;
    // A name that is not sure is no sighting until its observer types it.
    const { verdict, species } = picture.shownAnswer;
    element("log-species").value = picture.said?.species ?? (verdict === "named" ? plain(species) : "");
    element("log-date").value = taken.date ?? "";
    element("log-note").value = "";
    const known = taken.latitude !== undefined && taken.longitude !== undefined;
    // The place is asked for: it may be somebody's home.
    element("log-place").checked = false;
    element("log-place").disabled = !known;
    element("log-place-text").textContent = known
      ? `Keep the place in the photo (${taken.latitude}, ${taken.longitude})`
      : "The photo has no place";
    element("log-form").dataset.place = known ? JSON.stringify([taken.latitude, taken.longitude]) : "";
    element("log-species").focus();
  });
  element("log-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const picture = current();
    const typed = element("log-species").value.trim();
    const label = about.species.find((name) => plain(name).toLowerCase() === typed.toLowerCase());
    const facts = label && (await getJson(`api/species/${encodeURIComponent(label)}`).catch(() => null));
    const [latitude, longitude] = element("log-place").checked ? JSON.parse(element("log-form").dataset.place) : [];
    const { verdict, species, probability } = picture.shownAnswer;
    const sighting = {
      id: crypto.randomUUID?.() ?? `${Date.now()}`,
      date: element("log-date").value,
      species: typed,
      scientific: facts?.scientific_name ?? "",
      latitude,
      longitude,
      note: element("log-note").value.trim(),
      named: `${verdict === "named" ? "" : "not sure: "}${plain(species)}, ${Math.round(100 * probability)}%, by ${about.model}`,
    };
    sightings.push(sighting);
    await store.put("sightings", sighting);
    element("log-form").hidden = true;
    list();
  });
  element("log-csv").addEventListener("click", () => save("sightings", sightings.map((s) =>
    [s.date, s.species, s.scientific, s.latitude, s.longitude, s.note])));
  element("log-dwc").addEventListener("click", () => save("darwin_core", sightings.map((s) =>
    [`urn:uuid:${s.id}`, "HumanObservation", s.date, s.scientific || s.species, s.species, s.latitude, s.longitude,
      s.latitude === undefined ? "" : "EPSG:4326", s.named, s.note])));
}

function list() {
  element("log").hidden = sightings.length === 0;
  element("log-count").textContent = `My sightings (${sightings.length})`;
  element("log-list").replaceChildren(...sightings.map((sighting) => {
    const gone = make("button", { type: "button", class: "small", "aria-label": `Remove ${sighting.species}` }, "Remove");
    gone.addEventListener("click", async () => {
      sightings = sightings.filter((other) => other !== sighting);
      await store.remove("sightings", sighting.id);
      list();
    });
    return make("li", {}, [sighting.date, sighting.species, sighting.note].filter(Boolean).join(" · "), " ", gone);
  }));
}

function save(name, rows) {
  const cell = (value) => {
    // What a spreadsheet takes for a formula is made text.
    const text = `${value ?? ""}`.replace(/^(?=[=+@]|-[^\d])/, "'");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = [COLUMNS[name], ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  const link = make("a", { href: URL.createObjectURL(new Blob([csv], { type: "text/csv" })), download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
