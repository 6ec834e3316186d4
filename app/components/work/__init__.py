"""Long work: its list, its strip and its sentences."""
