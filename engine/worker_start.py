"""How the engine's process is started, from an installed Python as well as from a frozen app.

Every program that may use a worker calls `serve_if_worker` before anything else: a frozen app has no Python
interpreter to start, so it starts itself once more, with an argument that only this module knows. Loads
nothing heavy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from engine.installation import is_bundled, is_phone

_FLAG = "--chatbelle-engine-worker"
_PATH_VARIABLE = "CHATBELLE_WORKER_PATH"
_CODE = (
    "import json, os, sys; "
    f"sys.path[:] = json.loads(os.environ.pop({_PATH_VARIABLE!r})); "
    "from engine.worker_process import serve; serve()"
)


def worker_command() -> list[str]:
    """The command line of a worker."""
    if is_bundled():
        return [sys.executable, _FLAG]
    # -I keeps the folder we happen to be in, and variables such as PYTHONSTARTUP, out of it.
    return [sys.executable, "-I", "-c", _CODE]


def worker_environment() -> dict[str, str]:
    """The environment of a worker: ours, with our import path, and without a debugger at an abort."""
    path = [os.path.abspath(entry) if entry == "" else entry for entry in sys.path]
    return {**os.environ, _PATH_VARIABLE: json.dumps(path), "GGML_NO_BACKTRACE": "1"}


def can_start_workers() -> bool:
    """Whether this system has processes for it: phones and browsers don't, nor does an embedded Python."""
    return bool(sys.executable) and not is_phone() and sys.platform not in ("emscripten", "wasi")


def serve_if_worker(arguments: Sequence[str]) -> None:
    """Be the worker, and end with it, if that is what this process was started for (`sys.argv`)."""
    if list(arguments[1:2]) != [_FLAG]:
        return
    os.environ.pop(_PATH_VARIABLE, None)
    from engine.worker_process import serve

    serve()
