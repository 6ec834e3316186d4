"""What models write: Markdown with formulas, read into blocks that any front end can show. Knows no controls."""
