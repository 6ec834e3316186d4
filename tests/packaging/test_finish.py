"""The last work on a bundle's libraries: the builder's home is gone, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bundle import finish


def test_a_version_that_shares_its_text_with_a_folders_name_outlives_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As linkers lay them out: "3.11.7" is no text of its own, but the end of the folder's name."""
    home = tmp_path / "somebody"
    prefix = home / "versions" / "3.11.7"
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(sys, "base_prefix", str(prefix))
    library = tmp_path / "libpython.so"
    library.write_bytes(f"A\0{prefix}\0B\0{prefix}/lib\0".encode())
    size_bytes = library.stat().st_size

    finish._forget_home(library)  # noqa: SLF001 - the rest needs a linker's file

    data = library.read_bytes()
    assert len(data) == size_bytes
    assert b"somebody" not in data
    first, folder, second, below = data.split(b"\0")[:4]
    assert (first, second) == (b"A", b"B")
    assert folder.endswith(b"3.11.7")
    assert below.endswith(b"3.11.7/lib")
