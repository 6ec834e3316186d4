"""The demo model ready-made, by the product's own converter: so that no copy has to make it first."""

from __future__ import annotations

import subprocess
from pathlib import Path

from product import PackagingError

NOT_NEEDED = ("*.safetensors", "*.json")
"""Files of `assets/demo` that are of no use beside it."""

_MAKE = """\
import sys
from pathlib import Path
home, *sys.path[:0] = sys.argv[1:]
from app.demo_model import prepare_demo
from app.home import Home
print(prepare_demo(Home(Path(home)), lambda: None).parent)
"""


def make_demo(python: str, home: Path, *, checkout: Path | None = None) -> Path:
    """The folder below `home` with the GGUF and its digest. Raises PackagingError.

    python: an interpreter with the product's dependencies, and the product, unless that is in `checkout`.
    """
    code = [] if checkout is None else [str(checkout)]
    command = [python, "-I", "-X", "utf8", "-c", _MAKE, str(home), *code]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        raise PackagingError("the demo model could not be made; what went wrong is above")
    return Path(done.stdout.strip())
