"""Builds of llama.cpp with plug-ins for other processors than this one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.native.libraries import library_folder


def build_for_no_processor(folder: Path) -> Path:
    """This machine's libraries in `folder`, with a plug-in that fits nowhere as the least demanding one.

    Skips the test where no C compiler makes it.
    """
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("makes a library with a C compiler")
    folder.mkdir()
    for path in library_folder().iterdir():
        if path.is_file() and not path.name.startswith("libggml-cpu-"):
            (folder / path.name).symlink_to(path)
    source = folder / "score.c"
    source.write_text("int ggml_backend_score(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libggml-cpu-sse42.so", source], check=True)
    return folder
