"""Data the app ships: the demo model, and later the icon, fonts and catalogs. No code."""
