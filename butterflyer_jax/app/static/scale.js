import { seen } from "./crop.js";

// Photos are scaled before they are sent: over a telephone's line a few megabytes take minutes.
const LONGER_SIDE = 1024;
const SMALL_BYTES = 400_000;
const QUALITY = 0.9;

// Returns a JPEG whose longer side has 1,024 pixels, upright; the file itself where it is small already, or of a kind
// that this browser cannot read and the service may. With `crop` (see crop.js), of that square alone.
export async function scaled(file, crop = null) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const part = crop
    ? seen(bitmap.width, bitmap.height, crop, 1)
    : { left: 0, top: 0, width: bitmap.width, height: bitmap.height };
  const { left, top, width = part.side, height = part.side } = part;
  const longer = Math.max(width, height);
  if (!crop && longer <= LONGER_SIDE && file.size <= SMALL_BYTES) return file;
  const scale = Math.min(1, LONGER_SIDE / longer);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  // A transparent picture is laid on white, as the service does.
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, left, top, width, height, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  return blob && (crop || blob.size < file.size) ? blob : file;
}
