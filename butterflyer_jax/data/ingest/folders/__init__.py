"""What the folders of a collection say of its photos."""
