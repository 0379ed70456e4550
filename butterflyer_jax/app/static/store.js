// What stays on this device, in IndexedDB: photos with their answers, and the log of sightings.
const NAME = "butterflyer";
// The first version named it so: photos that visitors stored stay readable.
export const PHOTOS = "photographs";
const STORES = [PHOTOS, "sightings"];

let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

// In a private window a browser may keep nothing: the page then works without.
async function run(store, mode, act) {
  try {
    const database = await open();
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(store, mode);
      const request = act(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } catch {
    return undefined;
  }
}

export const all = async (store) => (await run(store, "readonly", (kept) => kept.getAll())) ?? [];
export const put = (store, value) => run(store, "readwrite", (kept) => kept.put(value));
export const remove = (store, id) => run(store, "readwrite", (kept) => kept.delete(id));
export const clear = (store) => run(store, "readwrite", (kept) => kept.clear());
