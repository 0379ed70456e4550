"""Knowledge base on species and butterflies, and its checks."""
