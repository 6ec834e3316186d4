"""Which formulas can be drawn."""

from __future__ import annotations


def is_drawable(tex: str) -> bool:
    return True
