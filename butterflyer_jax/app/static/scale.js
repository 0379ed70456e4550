// Photographs are scaled before they are sent: over a telephone's line a few megabytes take minutes.
const LONGER_SIDE = 1024;
const SMALL_BYTES = 400_000;
const QUALITY = 0.9;

// Returns a JPEG whose longer side has 1,024 pixels, upright; the file itself where it is small already, or of a kind
// that this browser cannot read and the service may.
export async function scaled(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const longer = Math.max(bitmap.width, bitmap.height);
  if (longer <= LONGER_SIDE && file.size <= SMALL_BYTES) return file;
  const scale = Math.min(1, LONGER_SIDE / longer);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  // A transparent picture is laid on white, as the service does.
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  return blob && blob.size < file.size ? blob : file;
}
