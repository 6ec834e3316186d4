"""Where a phone begins: Flet runs the module of this name in the root of the app."""

from app.gui.phone import run

run()
