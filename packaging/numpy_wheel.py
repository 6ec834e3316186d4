"""numpy's wheel for Linux without OpenBLAS: 28 MB, a sixth of a bundle, of which the product uses nothing.

The converter's only products of matrices, those of LoRA factors, are small and made with einsum. macOS has a
BLAS of its own, and on Windows a compiler for numpy is rarely there: both take its usual wheel.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from bundle.pins import Pin
from product import PackagingError
from source_wheel import Recipe

# numpy's baseline stays as it is, x86-64-v2. AVX2 is the last step that the converter's loops gain from.
_SETTINGS = ("blas=none", "lapack=none", "allow-noblas=true", "cpu-dispatch=X86_V3")


def numpy_recipe(pin: Pin, machine: str) -> Recipe:
    """How it is built. machine: as `platform.machine()`."""
    settings = [setting for setting in _SETTINGS if machine == "x86_64" or "X86" not in setting]
    return Recipe(pin, tuple(f"setup-args=-D{setting}" for setting in settings), _check)


def forget_builder(site_packages: Path) -> None:
    """Take out of the installed numpy where and by which Python it was built: `numpy.show_config` says so."""
    path = site_packages / "numpy" / "__config__.py"
    text = re.sub(r'"(path|args|linker args)": r?".*"', r'"\1": ""', path.read_text(encoding="utf-8"))
    path.unlink()  # it may be one file with uv's cache
    path.write_text(text, encoding="utf-8")


def _check(wheel: Path, _output: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = [name for name in archive.namelist() if "blas" in Path(name).name and ".so" in name]
    if found:
        raise PackagingError(f"{wheel.name} still has {', '.join(found)}")
