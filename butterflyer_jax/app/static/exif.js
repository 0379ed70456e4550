// When and where a photo was taken, from the EXIF of a JPEG.
const DATE = 0x9003;
const EXIF = 0x8769;
const GPS = 0x8825;
const HEAD_BYTES = 256 * 1024;

// Returns { date: "2026-05-01", latitude, longitude }, each only where the file has it.
export async function readExif(file) {
  try {
    const view = new DataView(await file.slice(0, HEAD_BYTES).arrayBuffer());
    const start = findTiff(view);
    return start === null ? {} : readTiff(new DataView(view.buffer, start));
  } catch {
    // Damaged EXIF is ignored.
    return {};
  }
}

function findTiff(view) {
  if (view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; view.getUint8(at) === 0xff && view.getUint16(at) !== 0xffda; at += 2 + view.getUint16(at + 2)) {
    if (view.getUint16(at) === 0xffe1 && view.getUint32(at + 4) === 0x45786966) return at + 10;
  }
  return null;
}

function readTiff(view) {
  const little = view.getUint16(0) === 0x4949;
  const short = (at) => view.getUint16(at, little);
  const long = (at) => view.getUint32(at, little);
  const entries = (at) =>
    new Map(Array.from({ length: short(at) }, (_, number) => [short(at + 2 + 12 * number), at + 2 + 12 * number]));
  const text = (at, length) => Array.from({ length }, (_, i) => String.fromCharCode(view.getUint8(at + i))).join("");
  const rational = (at) => long(at) / long(at + 4);
  const first = entries(long(4));
  const found = {};
  if (first.has(EXIF)) {
    const exif = entries(long(first.get(EXIF) + 8));
    const taken = exif.has(DATE) && text(long(exif.get(DATE) + 8), 10);
    if (/^\d{4}:\d\d:\d\d$/.test(taken)) found.date = taken.replaceAll(":", "-");
  }
  if (first.has(GPS)) {
    const gps = entries(long(first.get(GPS) + 8));
    const degrees = (tag, ref, negative) => {
      if (!gps.has(tag) || !gps.has(ref)) return undefined;
      const at = long(gps.get(tag) + 8);
      const value = rational(at) + rational(at + 8) / 60 + rational(at + 16) / 3600;
      const signed = text(gps.get(ref) + 8, 1) === negative ? -value : value;
      return Number.isFinite(signed) ? Math.round(signed * 1e5) / 1e5 : undefined;
    };
    found.latitude = degrees(2, 1, "S");
    found.longitude = degrees(4, 3, "W");
  }
  return found;
}
