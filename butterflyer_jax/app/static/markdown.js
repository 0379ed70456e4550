// A little Markdown, as language models write it, made of elements and text alone: no HTML of theirs is read.
import { make } from "./common.js";

// Returns the elements of a text; `inline` turns what is left of a line into nodes (citations).
export function render(text, inline) {
  const blocks = [];
  let list = null;
  for (const line of text.split("\n")) {
    const item = /^\s*(?:[-*•]|(\d+)[.)])\s+(.*)$/.exec(line);
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    if (item) {
      const tag = item[1] ? "ol" : "ul";
      if (list?.localName !== tag) blocks.push((list = make(tag, { class: "points" })));
      list.append(make("li", {}, ...spans(item[2], inline)));
      continue;
    }
    list = null;
    if (heading) blocks.push(make("p", {}, make("strong", {}, ...spans(heading[1], inline))));
    else if (line.trim()) blocks.push(make("p", {}, ...spans(line, inline)));
  }
  return blocks;
}

function spans(text, inline) {
  return text.split(/(\*\*[^*]+\*\*|__[^_]+__|`[^`]+`|\*[^*\s][^*]*\*)/).flatMap((part) => {
    if (/^(\*\*|__).+\1$/s.test(part)) return [make("strong", {}, ...inline(part.slice(2, -2)))];
    if (/^`.+`$/s.test(part)) return [make("code", {}, part.slice(1, -1))];
    if (/^\*.+\*$/s.test(part)) return [make("em", {}, ...inline(part.slice(1, -1)))];
    return inline(part);
  });
}
