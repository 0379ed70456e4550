"""Pages to look at; each module imports what draws it when it is first called."""
