"""A page that draws formulas, each between two marks, as the chat draws them; run as a program.

    python formula_page.py PORT FILE

FILE: a JSON array of formulas without delimiters, read again at every load.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import flet as ft


def main(page: ft.Page) -> None:
    """Build the page."""
    page.spacing = 0
    for index, tex in enumerate(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))):
        drawn = ft.Markdown(f"${tex}$ .", extension_set=ft.MarkdownExtensionSet.GITHUB_FLAVORED)
        page.add(ft.Row([ft.Text(f"N{index}N"), ft.Container(drawn, width=600)]))
    page.add(ft.Text("NENDN"))


if __name__ == "__main__":
    ft.run(main, view=None, host="127.0.0.1", port=int(sys.argv[1]), no_cdn=True)
