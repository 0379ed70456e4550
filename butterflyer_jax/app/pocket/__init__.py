"""The application as a static site: it names butterflies in the browser, without a server and without a network."""
