"""An offline kit: the program, a model and instructions in one folder, for machines without a network."""
