"""Tables beside photos, found by content and read in the formats of the programs that write them."""
