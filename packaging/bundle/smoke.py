"""Try a bundle from outside: its self-test, and what a program can't try on itself.

    PYTHONPATH=packaging python -m bundle.smoke BUNDLE

That are the other program, the page at the address that is printed, and an engine that is killed. Needs no
Python package. Works in fresh data folders with a Chinese name and a space, and touches nothing
else. What does not come out right is said, and ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

from bundle.programs import program_names

_DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
_PATIENCE_S = 240
_WORKER_FLAG = "--chatbelle-engine-worker"


class SmokeFailure(Exception):
    """A sentence: what did not come out right."""


@dataclass(frozen=True)
class Trial:
    """A bundle, a fresh folder to try it in, and a checkpoint to convert."""

    bundle: Path
    folder: Path
    checkpoint: Path

    @property
    def environ(self) -> dict[str, str]:
        """Ours, with a data folder that nobody has used, and no Python to fall back on."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**kept, "CHATBELLE_HOME": str(self.folder / "数据 data"), "PATH": os.defpath}

    def program(self, *, converter: bool = False) -> str:
        """The one for the terminal; converter: belle-convert."""
        folder = self.bundle / "Contents" / "MacOS" if sys.platform == "darwin" else self.bundle
        *_, terminal, convert = program_names(sys.platform)
        return str(folder / (convert if converter else terminal))

    def run(self, *arguments: str, converter: bool = False) -> str:
        """The program's standard output. Raises SmokeFailure if it fails."""
        done = subprocess.run(
            [self.program(converter=converter), *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise SmokeFailure(
                f"{arguments} ends with {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """chatbelle, with pipes for questions and answers."""
        return subprocess.Popen(
            [self.program(), *arguments],
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )


def main() -> int:
    """Run every trial; the first failure ends it."""
    parser = argparse.ArgumentParser(description="Try a bundle.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=_DEMO,
        help="what is converted (default: the demo's, in the checkout)",
    )
    options = parser.parse_args()
    with TemporaryDirectory(prefix="chatbelle-smoke-", ignore_cleanup_errors=True) as temporary:
        for trial in (_tests_itself, _converts, _serves_the_page, _survives_a_killed_engine):
            folder = Path(temporary, f"试用 {trial.__name__}")
            folder.mkdir()
            try:
                trial(Trial(options.bundle.absolute(), folder, options.checkpoint.absolute()))
            except (SmokeFailure, subprocess.TimeoutExpired, OSError) as failure:
                parser.exit(1, f"failed: {trial.__name__[1:]}: {failure}\n")
            sys.stdout.write(f"passed: {trial.__name__[1:]}\n")
    return 0


def _tests_itself(trial: Trial) -> None:
    """Every step of the self-test is passed."""
    trial.run("self-test", "--json")


def _converts(trial: Trial) -> None:
    """A checkpoint is recognised and converted, and the result answers."""
    output = trial.folder / "小 模型.gguf"
    said = trial.run("inspect", "--json", str(trial.checkpoint), converter=True)
    if "bloom" not in said:
        raise SmokeFailure(f"belle-convert inspect does not know a BLOOM checkpoint: {said}")
    trial.run("to-gguf", "--type", "q8_0", str(trial.checkpoint), str(output), converter=True)
    if not trial.run("chat", "--model", str(output), "--temperature", "0", "你好").strip():
        raise SmokeFailure("the converted model says nothing")


def _serves_the_page(trial: Trial) -> None:
    """The page is at the address that is printed, and not where the address lacks its secret."""
    with trial.start("--web", "--no-browser") as process:
        try:
            address = _read(process).strip()
            with urllib.request.urlopen(address, timeout=_PATIENCE_S) as response:
                if b"flutter_bootstrap.js" not in response.read():
                    raise SmokeFailure(f"something else than the page is at {address}")
            _require_refused("/".join(address.split("/")[:3]) + "/")
        finally:
            process.terminate()


def _require_refused(address: str) -> None:
    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE_S):
            raise SmokeFailure(f"{address} is answered without the secret")
    except urllib.error.HTTPError:
        return


def _survives_a_killed_engine(trial: Trial) -> None:
    """A conversation goes on although the engine's process was killed: one question is lost, not the next."""
    if sys.platform != "linux":
        return  # the process is found through /proc
    with trial.start("chat", "--temperature", "0") as process:
        try:
            before = _ask(process, "你好")
            os.kill(_engine_of(process.pid), signal.SIGKILL)
            after = _ask(process, "你好\n你好")
        finally:
            process.terminate()
    if not before or not after:
        raise SmokeFailure(f"answers before and after the engine was killed: {before!r}, {after!r}")


def _ask(process: subprocess.Popen[str], question: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{question}\n")
    process.stdin.flush()
    return _read(process).strip()


def _read(process: subprocess.Popen[str]) -> str:
    """The next line; the process is ended if none comes. Raises SmokeFailure."""
    assert process.stdout is not None
    timer = Timer(_PATIENCE_S, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if not line:
        raise SmokeFailure("the program ended without a word")
    return line


def _engine_of(pid: int) -> int:
    """The process of the engine that this one started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # any of its threads may have started it
    for child in " ".join(task.read_text(encoding="ascii") for task in tasks).split():
        if _WORKER_FLAG in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8", errors="replace"):
            return int(child)
    raise SmokeFailure(f"no process of the engine below {pid}")


if __name__ == "__main__":
    sys.exit(main())
