"""Metrics, predictions and the report of a split; every image counts once."""
