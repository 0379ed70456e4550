"""Labels, splits and groups from the folders of a collection."""
