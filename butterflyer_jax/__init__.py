"""Train, evaluate and use a butterfly species classifier in JAX."""
