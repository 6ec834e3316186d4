"""One conversation: header, messages, prompt, and the model that answers."""
