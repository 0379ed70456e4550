// The network: kernels come in int8 and are computed with in float32, by TensorFlow.js in WebAssembly.
/* global tf */

// Returns the response of a gzip file as one of its content.
export const inflate = (response) => new Response(response.body.pipeThrough(new DecompressionStream("gzip")));

export async function loadNetwork(base) {
  const [about, data] = await Promise.all([
    fetch(new URL("network.json", base)).then((response) => response.json()),
    fetch(new URL("network.bin.gz", base)).then((response) => inflate(response).arrayBuffer()),
  ]);
  tf.wasm.setWasmPaths(base.href);
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  await tf.setBackend("wasm");
  await tf.ready();
  return new Network(about, data);
}

// Returns the values of an array, float32.
function read(data, { shape, dtype, start }) {
  const size = shape.reduce((product, side) => product * side, 1);
  if (dtype === "float32") return new Float32Array(data.slice(start, start + 4 * size));
  const stored = new Int8Array(data, start, size);
  const columns = shape.at(-1);
  const scales = new Float32Array(data.slice(start + size, start + size + 4 * columns));
  const values = new Float32Array(size);
  for (let place = 0; place < size; place += columns) {
    for (let column = 0; column < columns; column += 1) values[place + column] = stored[place + column] * scales[column];
  }
  return values;
}

export class Network {
  constructor(about, data) {
    this.about = about;
    this.values = {};
    this.tensors = {};
    for (const [name, place] of Object.entries(about.arrays)) {
      const values = read(data, place);
      // The score is computed below, in float64.
      if (name.startsWith("typicality/")) this.values[name.slice("typicality/".length)] = values;
      else this.tensors[name] = tf.tensor(values, place.shape);
    }
    // The first call compiles and lays out the kernels.
    this.answer(new Uint8Array(3 * about.image_size ** 2));
  }

  // Returns the probabilities and the typicality (null without one) of pixels, image_size x image_size x RGB.
  answer(pixels) {
    const { about, tensors } = this;
    const [probabilities, features] = tf.tidy(() => {
      const image = tf.tensor(Float32Array.from(pixels), [1, about.image_size, about.image_size, 3]);
      let x = tf.add(tf.mul(image, tf.tensor1d(about.scale)), tf.tensor1d(about.offset));
      const found = [];
      for (const block of about.blocks) {
        for (const [, kernel, bias] of block) {
          x = tf.fused.conv2d({
            x, filter: tensors[kernel], bias: tensors[bias], strides: 1, pad: "same", activation: "relu",
          });
          if (about.typicality) {
            const { mean, variance } = tf.moments(x, [1, 2]);
            found.push(mean, tf.sqrt(variance));
          }
        }
        x = tf.maxPool(x, 2, 2, "valid");
      }
      x = about.global_average_pooling ? tf.mean(x, [1, 2]) : tf.reshape(x, [1, -1]);
      for (const name of about.dense) {
        x = tf.add(tf.matMul(x, tensors[`${name}/kernel`]), tensors[`${name}/bias`]);
        if (name !== "logits") x = tf.relu(x);
      }
      return [x, found.length ? tf.concat(found, 1) : null];
    });
    const logits = [...probabilities.dataSync()];
    const typicality = features && score(about.typicality, this.values, features.dataSync(), logits);
    probabilities.dispose();
    features?.dispose();
    return { probabilities: softmax(logits.map((logit) => logit / about.temperature)), typicality };
  }
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

// The same steps as metrics/typicality_layers.py.
const CLIP = 8;
const SMALLEST_DISTANCE = 1e-12;
const SMALLEST_DOUBT = 1e-6;

function score({ rest, floor, sums }, values, features, logits) {
  const x = Float64Array.from(features, (feature, place) => feature * values.scale[place] + values.offset[place]);
  const along = product(x, values.basis, values.weights.length);
  let square = 0;
  for (const value of x) square += rest * value * value;
  along.forEach((value, place) => (square += value * value * values.weights[place]));
  const linear = product(x, values.classes, values.class_offsets.length);
  const nearest = Math.min(...linear.map((value, place) => value + values.class_offsets[place]));
  const [reference] = product(x, values.reference, 1);
  const logarithm = (linear) => Math.log(Math.max(square + linear, SMALLEST_DISTANCE));
  let logit = values.head_offset[0];
  x.forEach((value, place) => (logit += Math.max(-CLIP, Math.min(CLIP, value)) * values.head[place]));
  const distances = [logarithm(nearest), logarithm(reference + values.reference_offset[0])];
  const parts = [...distances, Math.max(logit, floor), doubt(logits), 1];
  return Math.max(...sums.map((row) => row.reduce((total, weight, place) => total + weight * parts[place], 0)));
}

function doubt(logits) {
  const first = logits.indexOf(Math.max(...logits));
  const others = logits.reduce((sum, one, place) => (place === first ? sum : sum + Math.exp(one - logits[first])), 0);
  return Math.log(Math.max(Math.log1p(others), SMALLEST_DOUBT));
}

// Returns a vector times a matrix with so many columns, row by row.
function product(vector, matrix, columns) {
  const result = new Float64Array(columns);
  for (let row = 0; row < vector.length; row += 1) {
    for (let column = 0; column < columns; column += 1) result[column] += vector[row] * matrix[row * columns + column];
  }
  return result;
}
