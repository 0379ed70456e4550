"""The application as a static site that names butterflies in the browser, without a server or network."""
