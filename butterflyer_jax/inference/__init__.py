"""A trained run that answers: images in, species names and heat maps out."""
