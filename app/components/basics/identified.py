"""Names for screen readers and for tests around a control."""

from __future__ import annotations

from typing import Any

import flet as ft


def identified(
    content: ft.Control, identifier: str, label: str | None = None, **options: Any
) -> ft.Semantics:
    """`content` as a node of its own in the tree of names; `options` are those of `ft.Semantics`."""
    return ft.Semantics(content=content, identifier=identifier, label=label, container=True, **options)
