// The part of a photo that the network sees: its central square, or a square that a visitor drags over it.
import { element } from "./common.js";

// Of the shorter side: smaller squares are no butterfly that could be named.
const SMALLEST = 0.08;
// What a touch without dragging takes.
const TOUCHED = 0.5;
const STEP = 0.03;

// The square that the network sees, in pixels of the photo: `crop` (left and top as shares of width and height,
// side as a share of the shorter one; null: the whole), of which it takes the central part of `fraction`.
export function seen(width, height, crop, fraction) {
  const shorter = Math.min(width, height);
  const whole = crop
    ? { left: crop.left * width, top: crop.top * height, side: crop.side * shorter }
    : { left: (width - shorter) / 2, top: (height - shorter) / 2, side: shorter };
  const margin = ((1 - fraction) * whole.side) / 2;
  return { left: whole.left + margin, top: whole.top + margin, side: fraction * whole.side };
}

// Lays an element over a square of the photo.
export function place(over, { left, top, side }, width, height) {
  const shares = { left: left / width, top: top / height, width: side / width, height: side / height };
  for (const [name, share] of Object.entries(shares)) over.style[name] = `${100 * share}%`;
}

// Lets a visitor choose a square; `onCrop` receives it.
export function startCrop(onCrop) {
  const photo = element("photo");
  const box = element("crop-box");
  let start = null;
  let crop = null;

  const size = () => [photo.naturalWidth, photo.naturalHeight];
  const bounded = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

  // Of a centre and a side, in pixels.
  function put(x, y, side) {
    const [width, height] = size();
    const shorter = Math.min(width, height);
    const bound = bounded(side, SMALLEST * shorter, shorter);
    const left = bounded(x - bound / 2, 0, width - bound);
    const top = bounded(y - bound / 2, 0, height - bound);
    crop = { left: left / width, top: top / height, side: bound / shorter };
    place(box, { left, top, side: bound }, width, height);
  }

  function point(event) {
    const [width, height] = size();
    const { left, top, width: shown, height: tall } = photo.getBoundingClientRect();
    return [((event.clientX - left) / shown) * width, ((event.clientY - top) / tall) * height];
  }

  function close() {
    box.hidden = true;
    element("crop-help").hidden = true;
    element("crop-done").hidden = true;
    element("crop").setAttribute("aria-pressed", "false");
    element("frame").classList.remove("cropping");
    start = null;
  }

  element("crop").addEventListener("click", () => {
    if (!box.hidden) return close();
    const [width, height] = size();
    box.hidden = false;
    element("crop-help").hidden = false;
    element("crop-done").hidden = false;
    element("crop").setAttribute("aria-pressed", "true");
    element("frame").classList.add("cropping");
    put(width / 2, height / 2, TOUCHED * Math.min(width, height));
    box.focus();
  });
  element("crop-done").addEventListener("click", () => {
    close();
    onCrop(crop);
  });
  element("crop-whole").addEventListener("click", () => onCrop(null));

  const frame = element("frame");
  frame.addEventListener("pointerdown", (event) => {
    if (box.hidden) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    start = point(event);
    put(...start, TOUCHED * Math.min(...size()));
  });
  frame.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y] = point(event);
    const side = Math.max(Math.abs(x - start[0]), Math.abs(y - start[1]));
    // A hand that shakes does not drag.
    if (side < SMALLEST * Math.min(...size())) return;
    put(start[0] + (Math.sign(x - start[0]) * side) / 2, start[1] + (Math.sign(y - start[1]) * side) / 2, side);
  });
  for (const type of ["pointerup", "pointercancel"]) frame.addEventListener(type, () => (start = null));
  box.addEventListener("keydown", (event) => {
    const [width, height] = size();
    const shorter = Math.min(width, height);
    const moves = { ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], "+": [0, 0, 1], "-": [0, 0, -1] };
    if (event.key === "Enter") return element("crop-done").click();
    if (event.key === "Escape") return element("crop").click();
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const side = crop.side * shorter;
    const step = STEP * shorter;
    put(crop.left * width + side / 2 + move[0] * step, crop.top * height + side / 2 + move[1] * step, side + move[2] * step);
  });
  return { close };
}
