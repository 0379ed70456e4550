// The page's one door to what answers: here a service. The site without one (app.pocket) has another module of this name.

// An answer that is none; `again`: asked later it may be one, in `after` seconds.
class Refused extends Error {
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

// Posts JSON; `onEvent` receives each event of the answer, until one says that it is done.
export async function postStream(url, content, onEvent) {
  let response;
  try {
    const headers = { "content-type": "application/json" };
    response = await fetch(url, { method: "POST", headers, body: JSON.stringify(content) });
  } catch {
    throw new Error("no connection");
  }
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `error ${response.status}`);
  const broken = () => {
    throw new Error("the connection broke off");
  };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let done = false;
  for (let read = await reader.read().catch(broken); !read.done; read = await reader.read().catch(broken)) {
    const events = (rest + read.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const one = JSON.parse(event.replace(/^data: /, ""));
      onEvent(one);
      done ||= Boolean(one.done);
    }
  }
  if (!done) broken();
}
