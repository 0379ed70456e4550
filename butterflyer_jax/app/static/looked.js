// Which part of a photo the network sees, and where in it it looked.
import { place, seen } from "./crop.js";
import { element } from "./common.js";

// The square around the part that a search answers for, as shares; see the `part` of /api/predict.
function around([left, top, right, bottom], width, height) {
  const side = Math.max((right - left) * width, (bottom - top) * height);
  return { left: ((left + right) * width - side) / 2, top: ((top + bottom) * height - side) / 2, side };
}

// Outlines the square that the network sees, and lays the heat map over it; where nothing is named there is none.
export function drawLooked({ answer, crop }, fraction) {
  const photo = element("photo");
  const { naturalWidth: width, naturalHeight: height } = photo;
  const square = answer?.part ? around(answer.part, width, height) : seen(width, height, crop, fraction);
  element("seen").hidden = !answer;
  place(element("seen"), square, width, height);
  const canvas = element("heat");
  const heat = element("heat-shown").checked ? answer?.heat_map : null;
  element("heat-switch").hidden = !answer || answer.verdict === "none" || answer.heat_map === null;
  canvas.hidden = !heat || answer.verdict === "none";
  if (canvas.hidden) return;
  const rows = heat.values.length;
  const columns = heat.values[0].length;
  canvas.width = columns;
  canvas.height = rows;
  const pixels = new ImageData(columns, rows);
  heat.values.flat().forEach((value, number) => {
    // What it did not look at is dimmed: that shows on wings of any colour.
    pixels.data.set([0, 0, 0, Math.round(170 * (1 - value))], 4 * number);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  place(canvas, square, width, height);
}
