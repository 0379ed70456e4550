"""The application: names the butterfly in a photo, shows facts about it, and answers questions."""
