"""Any published form of a BELLE checkpoint in, one verified GGUF out."""
