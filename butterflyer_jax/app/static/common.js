// What the parts of the page share.

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

// An answer that is none; `again`: asked later it may be one, in `after` seconds.
export class Refused extends Error {
  constructor(reason, { status, headers }) {
    super(reason);
    this.again = status === 408 || status === 429 || status >= 500;
    this.after = status === 429 || status === 503 ? Number(headers.get("retry-after")) || 5 : null;
  }
}

export async function getJson(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw Object.assign(new Error("no connection"), { again: true });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer.error ?? `error ${response.status}`, response);
  return answer;
}

// Posts a form; `onProgress` receives the share of it that has been sent. Answers and errors are those of getJson.
export function postForm(url, body, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(Object.assign(new Error("no connection"), { again: true, offline: true }));
    request.onload = () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // A proxy's own page.
      }
      if (request.status < 400) return resolve(answer);
      const headers = { get: (name) => request.getResponseHeader(name) };
      reject(new Refused(answer.error ?? `error ${request.status}`, { status: request.status, headers }));
    };
    request.send(body);
  });
}

// A link to a source, in a new tab; text alone where the address is none of the web's.
export function link(source, text) {
  if (!/^https?:\/\//.test(source.url)) return make("span", {}, text);
  return make("a", { href: source.url, target: "_blank", rel: "noopener noreferrer", title: source.title }, text);
}

export function sourceItem(source) {
  return make("li", {}, link(source, source.title), ` ${source.publisher}`);
}
