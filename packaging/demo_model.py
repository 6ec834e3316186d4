"""The demo model ready-made, by the product's own converter: so that no copy has to make it first."""

from __future__ import annotations

import subprocess
from pathlib import Path

from product import PackagingError

LEFT_OUT = ("*.safetensors", "*.json")
"""What of `assets/demo` is of no use beside it."""

_MAKE = """\
import sys
from pathlib import Path
from app.demo_model import prepare_demo
from app.home import Home
print(prepare_demo(Home(Path(sys.argv[1])), lambda: None).parent)
"""


def make_demo(python: str, home: Path, environ: dict[str, str] | None = None) -> Path:
    """The folder below `home` with the GGUF and its digest.

    python: an interpreter that has the product; environ: its environment. Raises PackagingError.
    """
    command = [python, "-c", _MAKE, str(home)]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", env=environ, check=False)
    if done.returncode:
        raise PackagingError("the demo model could not be made; what went wrong is above")
    return Path(done.stdout.strip())
