"""numpy built from source: what it would tell of the machine that built it is taken out."""

from __future__ import annotations

import runpy
from pathlib import Path

from numpy_wheel import forget_builder

CONFIG = """
CONFIG = {
    "Compilers": {
        "c": {
            "name": "gcc",
            "args": r"-ffile-prefix-map=/tmp/chatbelle-build-iuabt6tv/=",
            "linker args": r"-ffile-prefix-map=/tmp/chatbelle-build-iuabt6tv/=",
        },
    },
    "Python Information": {"version": "3.11"},
    "Python": {
        "path": r"/home/somebody/python/bin/python",
        "version": "3.11",
    },
}
"""


def test_numpy_forgets_where_and_by_what_it_was_built(tmp_path: Path) -> None:
    path = tmp_path / "numpy" / "__config__.py"
    path.parent.mkdir()
    path.write_text(CONFIG, encoding="utf-8")

    forget_builder(tmp_path)

    told = runpy.run_path(str(path))["CONFIG"]
    assert told["Compilers"]["c"] == {"name": "gcc", "args": "", "linker args": ""}
    assert told["Python"] == {"path": "", "version": "3.11"}
