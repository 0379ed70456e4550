"""Chat: interprets questions and answers them from the knowledge base, alone or through a language model."""
