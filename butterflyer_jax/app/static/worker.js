// Keeps the page's own files, so that it opens without a network; answers always come from the service.
const CACHE = "page";

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const own = url.origin === self.location.origin && event.request.method === "GET";
  if (!own || /\/(health|metrics|openapi\.json)$/.test(url.pathname)) return;
  if (url.pathname.includes("/api/") && !/\/api\/(about|species\/|examples\/)/.test(url.pathname)) return;
  event.respondWith(
    fetch(event.request)
      .then(async (response) => {
        // The newest that came counts where there is no network.
        if (response.ok) (await caches.open(CACHE)).put(event.request, response.clone());
        return response;
      })
      .catch(async (error) => {
        const kept = await caches.match(event.request);
        if (kept) return kept;
        throw error;
      }),
  );
});
