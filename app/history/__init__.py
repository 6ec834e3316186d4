"""Conversations on disk: stored, searched, backed up, carried in and out. Knows no screen and no engine."""
