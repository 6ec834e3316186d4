"""The parts of the settings, and the sheet of shortcuts."""
