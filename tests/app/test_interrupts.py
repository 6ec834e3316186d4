"""Ctrl-C in a real terminal (a pty): the first stops the answer, the second leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="needs POSIX terminals")

ROOT = Path(__file__).resolve().parents[2]

# The real command line with a backend that takes 50 ms a word, for ever.
SLOW_CHAT = """
import itertools, sys
sys.path[:0] = [{tests!r}]
from app.cli import main
from builders.fake_backend import FakeBackend
words = [["word%d " % n for n in range(10_000)] for _ in range(9)]
sys.exit(main(sys.argv[1:], make_backend=lambda: FakeBackend(words, delay_s=0.05)))
""".format(tests=str(ROOT / "tests"))


PROMPT = r"\x1b\[\?2004h"  # the line editor asks the terminal to mark what is pasted


class TerminalProcess:
    """A process in a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._seen = b""

    def wait_for(self, pattern: str, timeout_s: float = 20.0) -> None:
        """Until the screen shows `pattern` (bytes before earlier matches are forgotten)."""
        import select

        deadline = time.monotonic() + timeout_s
        while not (match := re.search(pattern.encode(), self._seen)):
            left_s = deadline - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, left_s))
            assert ready, f"{pattern!r} did not appear in {self._seen[-500:]!r}"
            data = os.read(self._descriptor, 65536)
            if b"\x1b[6n" in data:  # prompt_toolkit asks where the cursor is
                os.write(self._descriptor, b"\x1b[1;1R")
            self._seen += data
        self._seen = self._seen[match.end() :]

    def send(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code; what the process still writes is read meanwhile."""
        import select

        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([self._descriptor], [], [], 0.05)
            if ready:
                try:
                    os.read(self._descriptor, 65536)
                except OSError:
                    break
        return self._process.wait(5)


# A signal that arrives in a finalizer, which no exception leaves, while the line editor reads its history.
SIGNAL_IN_A_FINALIZER = """
import os, signal
from prompt_toolkit.history import FileHistory
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
FileHistory.load_history_strings = lambda self: Finalized() and []
"""


@contextmanager
def in_terminal(
    environ: dict[str, str], *arguments: str, script: str = SLOW_CHAT
) -> Iterator[TerminalProcess]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ | {"TERM": "xterm"},
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    try:
        yield TerminalProcess(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _take_terminal() -> None:
    """Make stdin the controlling terminal, so that Ctrl-C typed into it becomes a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "任意.gguf"
    path.write_bytes(b"GGUF")
    return str(path)


def test_the_first_stops_the_answer_and_the_second_leaves(environ: dict[str, str], model: str) -> None:
    with in_terminal(environ, "chat", "--model", model) as terminal:
        terminal.wait_for("/help")
        terminal.wait_for(PROMPT)
        terminal.send("你好\r".encode())
        terminal.wait_for("word3")
        terminal.send(b"\x03")
        terminal.wait_for("Stopped")
        terminal.wait_for(PROMPT)
        terminal.send(b"\x03")

        assert terminal.wait() == 130


def test_the_chat_goes_on_after_a_stopped_answer(environ: dict[str, str], model: str) -> None:
    with in_terminal(environ, "chat", "--model", model) as terminal:
        terminal.wait_for(PROMPT)
        terminal.send(b"one\r")
        terminal.wait_for("word1")
        terminal.send(b"\x03")
        terminal.wait_for("Stopped")
        terminal.wait_for(PROMPT)
        terminal.send(b"two\r")
        terminal.wait_for("word1")
        terminal.send(b"\x03")
        terminal.wait_for("Stopped")
        terminal.wait_for(PROMPT)
        terminal.send(b"\x04")

        assert terminal.wait() == 0


def test_it_clears_a_line_that_is_being_typed(environ: dict[str, str], model: str) -> None:
    with in_terminal(environ, "chat", "--model", model) as terminal:
        terminal.wait_for(PROMPT)
        terminal.send(b"half a question")
        terminal.wait_for("question")
        terminal.send(b"\x03")
        time.sleep(0.2)
        terminal.send(b"/quit\r")

        assert terminal.wait() == 0


def test_pasted_lines_are_one_question(environ: dict[str, str], model: str, home_folder: Path) -> None:
    with in_terminal(environ, "chat", "--model", model) as terminal:
        terminal.wait_for(PROMPT)
        terminal.send(b"\x1b[200~first line\nsecond line\n\x1b[201~")
        terminal.wait_for("second")
        terminal.send(b"\r")
        terminal.wait_for("word1")
        terminal.send(b"\x03")
        terminal.wait_for("Stopped")
        terminal.wait_for(PROMPT)
        terminal.send(b"\x04")
        assert terminal.wait() == 0

    history = (home_folder / "terminal-history").read_text(encoding="utf-8")
    assert "+first line\n+second line" in history


def stop_answer(environ: dict[str, str], model: str, number: signal.Signals) -> tuple[int, bytes]:
    """The exit code and what stderr says of a single answer that is stopped at work."""
    command = [sys.executable, "-c", SLOW_CHAT, "chat", "--model", model, "x"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, cwd=ROOT)
    assert process.stdout is not None
    while b"word2" not in process.stdout.read1():
        pass
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_a_single_answer_is_interrupted_with_130(environ: dict[str, str], model: str) -> None:
    code, errors = stop_answer(environ, model, signal.SIGINT)

    assert code == 130
    assert b"Traceback" not in errors


def test_the_real_engine_stops_within_a_token(environ: dict[str, str], tiny_model: Path) -> None:
    options = ["--model", str(tiny_model), "--threads", "1", "--temperature", "0", "--max-tokens", "2000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "chat", *options, "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert b"Traceback" not in errors
    n_tokens = int(re.findall(rb"([\d,]+) tokens,", errors)[0].replace(b",", b""))
    assert n_tokens < 2000


def test_interrupted_while_loading_leaves_with_130(environ: dict[str, str], model: str) -> None:
    script = (
        "import sys, time; from app.cli import main\n"
        "class Loading:\n"
        "    def load(self, path, options): print('loading', flush=True); time.sleep(30)\n"
        "    def unload(self): print('unloaded', flush=True)\n"
        "sys.exit(main(sys.argv[1:], make_backend=Loading))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "chat", "--model", model, "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"loading\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert output == b"unloaded\n"
    assert errors == b"Interrupted.\n"


def test_sigterm_ends_a_chat_that_waits_for_a_question(environ: dict[str, str], model: str) -> None:
    with in_terminal(environ, "chat", "--model", model) as terminal:
        terminal.wait_for(PROMPT)
        terminal.signal(signal.SIGTERM)

        assert terminal.wait() == 128 + signal.SIGTERM


def test_sigterm_inside_a_finalizer_ends_the_chat_too(environ: dict[str, str], model: str) -> None:
    with in_terminal(environ, "chat", "--model", model, script=SIGNAL_IN_A_FINALIZER + SLOW_CHAT) as terminal:
        assert terminal.wait() == 128 + signal.SIGTERM


def test_sigterm_ends_an_answer(environ: dict[str, str], model: str) -> None:
    code, errors = stop_answer(environ, model, signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert errors.strip() == b"Interrupted."
