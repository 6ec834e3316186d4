"""Models on this disk and models to get."""
