// The parts of a photo that a search looks at: the same as those of inference/search.py.
import { centre, cut, round, scaledSize, toInput, toShortSide, toSide } from "./resize.js";

const SCALES = [1, 2 / 3, 1 / 2, 1 / 3];
const MARGIN = 2;
const ENLARGED = 3;
// A photo so long and thin that it would be larger is not enlarged.
const MAX_PIXELS = 1e8;
const MAX_SIDE = 65500;
// Of a long strip the whole and the finest grids are left out.
const MAX_ASPECT = 10;
const MAX_PARTS = 512;
// Parts after which the page gets its turn.
const STEP = 4;

// Returns the answer for the most typical part of a photo, and as `part` where it lies: left, top, right, bottom.
export async function search(network, limit, image, isJpeg, input) {
  const { scaled, places } = lay(image, isJpeg, input);
  let chosen = null;
  for (const [number, place] of places.entries()) {
    const answer = network.answer(partPixels(image, isJpeg, input, scaled, place, number));
    // The first is the central square, which stays unless another is a good deal more typical than refusal asks for.
    if (!number || (answer.typicality < limit - MARGIN && answer.typicality < chosen.answer.typicality)) {
      chosen = { answer, place };
    }
    if (number % STEP === STEP - 1) await new Promise((resolve) => setTimeout(resolve));
  }
  const [left, top, width, height] = chosen.place;
  const corners = [left / scaled.width, top / scaled.height, (left + width) / scaled.width, (top + height) / scaled.height];
  return { ...chosen.answer, part: corners.map((share) => Math.round(1e4 * share) / 1e4) };
}

// Returns the enlarged photo, and the places of the parts in it: the central square, the whole, and grids of squares.
export function lay(image, isJpeg, { short_side: shortSide, crop_fraction: fraction }) {
  const large = scaledSize(image, ENLARGED * shortSide);
  const fits = large[0] * large[1] <= MAX_PIXELS && Math.max(...large) <= MAX_SIDE;
  const scaled = toShortSide(image, isJpeg, fits ? ENLARGED * shortSide : shortSide);
  const { width, height } = scaled;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const squares = [];
  for (const scale of SCALES) {
    const length = Math.max(1, round(scale * short));
    const ofScale = starts(height, length).flatMap((top) => starts(width, length).map((left) => [left, top, length, length]));
    if (squares.length && squares.length + ofScale.length > MAX_PARTS) break;
    squares.push(...ofScale);
  }
  const distinct = new Map(squares.map((square) => [square.join(), square]));
  const whole = long <= MAX_ASPECT * short ? [[0, 0, width, height]] : [];
  return { scaled, places: [centre(scaled, fraction), ...whole, ...distinct.values()] };
}

// Returns the pixels of a part as the network sees them; the central square is the one that is seen without a search.
export function partPixels(image, isJpeg, input, scaled, place, number) {
  return number ? toSide(squared(cut(scaled, place)), input.image_size) : toInput(image, isJpeg, input);
}

// Returns where squares begin that cover a length evenly, neighbours half a side apart or nearer.
function starts(length, side) {
  const steps = Math.ceil((length - side) / (side / 2));
  return Array.from({ length: steps + 1 }, (_, step) => round((step * (length - side)) / Math.max(1, steps)));
}

// Returns a square image: what is no square lies in the middle of its mean colour.
function squared(image) {
  const { data, width, height } = image;
  if (width === height) return image;
  const side = Math.max(width, height);
  const sums = [0, 0, 0];
  data.forEach((value, place) => (sums[place % 3] += value));
  const mean = sums.map((sum) => round(sum / (width * height)));
  const square = new Uint8ClampedArray(3 * side * side);
  for (let place = 0; place < square.length; place += 1) square[place] = mean[place % 3];
  const left = Math.floor((side - width) / 2);
  const top = Math.floor((side - height) / 2);
  for (let row = 0; row < height; row += 1) {
    square.set(data.subarray(3 * width * row, 3 * width * (row + 1)), 3 * (side * (top + row) + left));
  }
  return { data: square, channels: 3, width: side, height: side };
}
