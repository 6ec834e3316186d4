"""The staged app as on a phone, shown in a browser: `python phone_process.py STAGED PORT TOKEN`.

No process can be started, and no package imported that a phone does not have: the packages that the staged
pyproject.toml names, with what those need, and Python's own library. Our code may not even import what
starts processes. Flet's web server is this harness's part and may import what it likes. Writes the page's
address once it is served, and a line beginning with `refused` for whatever was tried against these rules.
"""

from __future__ import annotations

import builtins
import os
import runpy
import socket
import sys
import threading
import time
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = {"__main__", "app", "engine", "convert", "assets", "main"}
STARTERS = {"multiprocessing", "subprocess", "concurrent.futures.process"}
STARTING = (
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system"),
    *("pty.spawn", "subprocess.Popen"),
)
HARNESS = {"flet_web"}  # imported by flet itself where the page is served
PHONE = {"platform_system": "Android", "sys_platform": "android", "platform_machine": "aarch64"}


def phone_packages(lines: Iterable[str]) -> set[str]:
    """Canonical names of the packages that these requirements install on a phone."""
    found: set[str] = set()
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({**PHONE, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        is_new = name not in found
        found.add(name)
        if is_new or requirement.extras:
            try:
                needed = requires(requirement.name) or ()
            except PackageNotFoundError:  # as good as a refusal: its import fails
                continue
            for inner in ("", *requirement.extras):
                waiting += [
                    (each, inner)
                    for each in map(Requirement, needed)
                    if inner == "" or each.marker is not None
                ]
    return found


def guard_imports(packages: set[str]) -> None:
    """Let only these packages be imported by one another and by our code."""
    owners: Mapping[str, list[str]] = packages_distributions()
    phones = {
        module
        for module, names in owners.items()
        if any(canonicalize_name(name) in packages for name in names)
    }
    known = phones | OURS | set(sys.stdlib_module_names)
    original = builtins.__import__

    def guarded(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        caller = ((globals or {}).get("__name__") or "").partition(".")[0]
        top = name.partition(".")[0]
        if level == 0 and caller in phones | OURS:
            is_harness = caller == "flet" and top in HARNESS
            if top not in known and not is_harness:
                raise ModuleNotFoundError(f"a phone has no module {name!r}", name=top)
            if caller in OURS and (name in STARTERS or top in STARTERS):
                refuse(f"{globals['__name__']} imports {name}")
        return original(name, globals, locals, fromlist, level)

    builtins.__import__ = guarded


def refuse(what: str) -> None:
    """Say what was tried, and don't let it happen."""
    sys.stderr.write(f"refused: {what}\n")
    raise ImportError(f"not on a phone: {what}")


def guard_processes() -> None:
    """Let no process be started from now on."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTING:
            refuse(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)


def say_when_served(port: int, token: str) -> None:
    """Write the address once somebody answers there."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                sys.stdout.write(f"http://127.0.0.1:{port}/{token}/\n")
                sys.stdout.flush()
                return
        time.sleep(0.05)


def main() -> None:
    """Run the staged app until it is killed."""
    staged, port, token = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.environ.update(
        FLET_PLATFORM="android",
        FLET_FORCE_WEB_SERVER="true",
        FLET_SERVER_IP="127.0.0.1",
        FLET_SERVER_PORT=str(port),
        FLET_WEB_APP_PATH=token,
    )
    import flet_web.fastapi.serve_fastapi_web_app  # noqa: F401 - before the rules hold

    project = tomllib.loads((staged / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    guard_imports(phone_packages(project["dependencies"]))
    guard_processes()
    threading.Thread(target=say_when_served, args=(port, token), daemon=True).start()
    sys.path.insert(0, str(staged))
    sys.argv = [""]
    runpy.run_module("main", run_name="__main__")


if __name__ == "__main__":
    main()
