"""A folder laid out as the bundle is on Linux, whose programs are this checkout's."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def write_bundle(folder: Path) -> Path:
    """Write the bundle, with one real library of this system and one licence, and return its folder."""
    internal = folder / "_internal"
    internal.mkdir(parents=True)
    for name, module in (("chatbelle", "app.cli"), ("belle-convert", "convert.cli")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{_ROOT}" exec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    shutil.copyfile(os.path.realpath("/usr/bin/env"), internal / "liba.so")
    licences = folder / "licences"
    licences.mkdir()
    (licences / "MIT.txt").write_text("Copyright (c) 2020 Somebody\n\nDo as you like.\n", encoding="utf-8")
    entry = {
        **{"name": "a library", "version": "1.0", "licence": "MIT"},
        **{"files": ["MIT.txt"], "covers": ["_internal/liba.so"]},
    }
    (licences / "index.json").write_text(json.dumps([entry]), encoding="utf-8")
    return folder
