"""Conversations with an engine: history, settings and a backend glued to operations and events. No screen."""
