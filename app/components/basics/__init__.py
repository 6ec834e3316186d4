"""What the other parts are made of: measures, names, dialogs, paths."""
