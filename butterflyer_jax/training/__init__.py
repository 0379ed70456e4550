"""A training run: session, state, step, the one ordered loop."""
