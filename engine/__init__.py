"""Text in, typed events out: inference sessions on llama.cpp. Knows no screen and no file format but GGUF."""
