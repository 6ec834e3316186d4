"""The model manager: what exists, what is on this disk, whether it fits, and how it gets here."""
