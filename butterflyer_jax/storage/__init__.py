"""The one door to files and buckets: local paths and gs:// alike."""
