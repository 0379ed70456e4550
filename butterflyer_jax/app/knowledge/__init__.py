"""What the application knows of species and butterflies, and its checks."""
