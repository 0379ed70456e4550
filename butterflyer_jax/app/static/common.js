// What the parts of the page share.
export { getJson, postForm, postStream } from "./service.js";

export const element = (id) => document.getElementById(id);

// Labels of data sets are often folder names.
export const plain = (label) => label.replaceAll("_", " ");

export const percent = (probability) =>
  probability > 0.995 ? "over 99%" : probability < 0.01 ? "under 1%" : `${Math.round(100 * probability)}%`;

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A link to a source, in a new tab; text alone where the address is none of the web's.
export function link(source, text) {
  if (!/^https?:\/\//.test(source.url)) return make("span", {}, text);
  return make("a", { href: source.url, target: "_blank", rel: "noopener noreferrer", title: source.title }, text);
}

export function sourceItem(source) {
  return make("li", {}, link(source, source.title), ` ${source.publisher}`);
}
