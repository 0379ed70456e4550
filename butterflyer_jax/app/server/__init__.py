"""Web service of the application: page, API, uploads, limits, metrics."""
