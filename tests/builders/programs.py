"""Programs of the system that a test needs: skipped without them, but for CI, which must have them."""

from __future__ import annotations

import os
import shutil

import pytest


def find_program(name: str, package: str, *places: str) -> str:
    """Its path, also from one of the `places`; package: what Debian calls the package it is in."""
    found = shutil.which(name) or next((place for place in places if os.access(place, os.X_OK)), None)
    if found is not None:
        return found
    sentence = f"there is no {name} here; Debian has it in {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)
