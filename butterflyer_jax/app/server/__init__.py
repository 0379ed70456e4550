"""The web service of the application: pages, API, uploads, limits, metrics."""
