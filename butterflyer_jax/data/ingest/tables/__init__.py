"""Tables beside photos: found by their content, read in the forms that programs write them in."""
