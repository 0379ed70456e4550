"""The conversation: questions understood, answered from the knowledge base, by itself or through a language model."""
