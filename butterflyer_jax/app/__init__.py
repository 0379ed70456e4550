"""The application: names a butterfly on a photograph, and talks about it."""
