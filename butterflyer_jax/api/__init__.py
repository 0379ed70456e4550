"""The library as a notebook uses it: an open data set and a run, with what they can do."""
