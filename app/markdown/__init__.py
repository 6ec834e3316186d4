"""What models write: Markdown with formulas, read into blocks. Knows no controls."""
