"""Does this installation work? Every part is tried for real, in a temporary folder and without a network."""
