"""Processes of a run, and the shardings of its arrays over their devices."""
