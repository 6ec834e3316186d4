"""The only package that knows a screen; `cli` is the terminal front end."""
