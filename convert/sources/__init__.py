"""One module per published file form; each yields lazily readable named tensors."""
