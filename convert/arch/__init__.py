"""One module per model family: names, metadata and tensor transforms."""
