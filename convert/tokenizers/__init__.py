"""One module per tokenizer file form; each yields a `Vocabulary`."""
