// Photos are scaled as the service scales them: by a convolution, first down the columns and then along the rows,
// in 8 bits between the two, with weights in fixed point.

const KERNELS = {
  lanczos: { support: 3, at: (x) => (x === 0 ? 1 : Math.abs(x) < 3 ? (3 * sin(x) * sin(x / 3)) / (Math.PI * x) ** 2 : 0) },
  triangle: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
};

function sin(x) {
  return Math.sin(Math.PI * x);
}

// Weights are 16 bits: as many of these are behind the point as the largest weight lets.
const MAX_WEIGHT = 1 << 15;

function inFixedPoint(found) {
  const largest = Math.max(...found.map(({ weights }) => Math.max(...weights)));
  let one = 1;
  while (Math.round(largest * 2 * one) < MAX_WEIGHT) one *= 2;
  return found.map(({ start, weights }) => ({ start, weights: weights.map((weight) => Math.round(weight * one) / one) }));
}

// Returns for each place of the result where its window begins and its weights.
function windows(from, to, kernel) {
  const { support, at } = KERNELS[kernel];
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const found = Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(Math.ceil(from), Math.trunc(centre + support * stretch + 0.5));
    const weights = Float64Array.from({ length: end - start }, (_, tap) => at((start + tap - centre + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
  return inFixedPoint(found);
}

// Scales an image { data: RGB or RGBA, channels, width, height }; `box` is the width and height of what is scaled.
export function resize(image, width, height, kernel, box = [image.width, image.height]) {
  const { data, channels } = image;
  const columns = windows(box[0], width, kernel);
  const rows = windows(box[1], height, kernel);
  const across = Math.ceil(box[0]);
  const between = new Uint8ClampedArray(3 * across * height);
  const sums = new Float64Array(3 * across);
  for (let y = 0; y < height; y += 1) {
    const { start, weights } = rows[y];
    sums.fill(0);
    for (let tap = 0; tap < weights.length; tap += 1) {
      const weight = weights[tap];
      for (let x = 0, from = channels * image.width * (start + tap), to = 0; x < across; x += 1, from += channels, to += 3) {
        sums[to] += weight * data[from];
        sums[to + 1] += weight * data[from + 1];
        sums[to + 2] += weight * data[from + 2];
      }
    }
    between.set(rounded(sums), 3 * across * y);
  }
  const result = new Uint8ClampedArray(3 * width * height);
  const three = new Float64Array(3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const { start, weights } = columns[x];
      three.fill(0);
      for (let tap = 0, from = 3 * (across * y + start); tap < weights.length; tap += 1, from += 3) {
        const weight = weights[tap];
        three[0] += weight * between[from];
        three[1] += weight * between[from + 1];
        three[2] += weight * between[from + 2];
      }
      result.set(rounded(three), 3 * (width * y + x));
    }
  }
  return { data: result, channels: 3, width, height };
}

// A half is rounded up, where an array of bytes would round it to an even number.
function rounded(sums) {
  for (let place = 0; place < sums.length; place += 1) sums[place] = Math.floor(sums[place] + 0.5);
  return sums;
}

// The decoder of the service leaves out what a smaller JPEG does not need; here the same number of pixels are averaged.
const MARGIN = 1.5;
const SCALES = [8, 4, 2];
// Other pictures are first shrunk to no less than this many times the size wanted.
const GAP = 3;

function shrink(image, factor) {
  const width = Math.ceil(image.width / factor);
  const height = Math.ceil(image.height / factor);
  const { channels } = image;
  const data = new Uint8ClampedArray(3 * width * height);
  for (let y = 0; y < height; y += 1) {
    const rows = Math.min(factor, image.height - factor * y);
    for (let x = 0; x < width; x += 1) {
      const columns = Math.min(factor, image.width - factor * x);
      for (let colour = 0; colour < 3; colour += 1) {
        let sum = 0;
        for (let row = 0; row < rows; row += 1) {
          let at = channels * (image.width * (factor * y + row) + factor * x) + colour;
          for (let column = 0; column < columns; column += 1, at += channels) sum += image.data[at];
        }
        data[3 * (width * y + x) + colour] = Math.floor(sum / (rows * columns) + 0.5);
      }
    }
  }
  return { data, channels: 3, width, height };
}

// Returns the image scaled to a short side, as RGB.
export function toShortSide(image, isJpeg, shortSide) {
  const [width, height] = scaledSize(image, shortSide);
  const shrinkage = MARGIN * Math.max(width / image.width, height / image.height);
  const factor = isJpeg
    ? (SCALES.find((one) => 1 / one >= shrinkage) ?? 1)
    : Math.max(1, Math.trunc(Math.min(image.width, image.height) / shortSide / GAP));
  const box = [image.width / factor, image.height / factor];
  const small = factor > 1 ? shrink(image, factor) : image;
  return resize(small, width, height, "lanczos", box);
}

// Returns the width and height of an image that is scaled to a short side.
export function scaledSize(image, shortSide) {
  const scale = shortSide / Math.min(image.width, image.height);
  return [image.width, image.height].map((length) => Math.max(shortSide, round(length * scale)));
}

// Returns the place [left, top, width, height] of the central square, whose side is a share of the short side.
export function centre({ width, height }, fraction) {
  const side = Math.max(1, round(Math.min(width, height) * fraction));
  return [Math.floor((width - side) / 2), Math.floor((height - side) / 2), side, side];
}

// Returns a part of an RGB image.
export function cut(image, [left, top, width, height]) {
  const data = new Uint8ClampedArray(3 * width * height);
  for (let row = 0; row < height; row += 1) {
    const from = 3 * (image.width * (top + row) + left);
    data.set(image.data.subarray(from, from + 3 * width), 3 * width * row);
  }
  return { data, channels: 3, width, height };
}

// Returns the pixels of a square RGB image in the network's size.
export function toSide(square, side) {
  return square.width === side ? square.data : resize(square, side, side, "triangle").data;
}

// Returns the network's input: of an image scaled to its short side the central square, in the size asked for.
export function toInput(image, isJpeg, { short_side: shortSide, crop_fraction: fraction, image_size: side }) {
  const scaled = toShortSide(image, isJpeg, shortSide);
  return toSide(cut(scaled, centre(scaled, fraction)), side);
}

// As Python rounds: a half to the even number.
export function round(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 ? whole - 1 : whole;
}
