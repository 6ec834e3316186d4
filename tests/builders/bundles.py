"""A folder laid out as the bundle is on Linux, whose programs are this checkout's."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bundle.index import Entry, write_index

_ROOT = Path(__file__).parents[2]


def write_bundle(folder: Path) -> Path:
    """Write the bundle, with one real library of this system and two licences, and return its folder."""
    internal = folder / "_internal"
    internal.mkdir(parents=True)
    for name, module in (("chatbelle", "app.cli"), ("belle-convert", "convert.cli")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{_ROOT}" exec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    shutil.copyfile(os.path.realpath("/usr/bin/env"), internal / "liba.so")
    licences = folder / "licences"
    licences.mkdir()
    (licences / "Apache.txt").write_text("  Apache License\n Version 2.0, January 2004\n", encoding="utf-8")
    (licences / "long.txt").write_text("All the rest.\n" * 10_000, encoding="utf-8")
    (licences / "MIT.txt").write_text("Copyright (c) 2020 Somebody\n\nDo as you like.\n", encoding="utf-8")
    library = Entry("a library", "1.0", "MIT", files=("MIT.txt",), covers=("_internal/liba.so",))
    texts = ("Apache.txt", "long.txt")
    modules = Entry("modules", "1.0", "Apache-2.0 OR BSD-3-Clause", files=texts, covers=(), modules=("a",))
    write_index(folder, [library, modules])
    return folder
