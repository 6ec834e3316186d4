"""A confined process reaches this machine and no other; neither does the engine that it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from builders.gguf_models import write_model
from engine.loopback import is_foreign

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "192.0.2.1"  # reserved for documentation: nobody answers there

_CONFINED = """
import socket, sys
from engine.loopback import confine
confine()
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname()[:2]).close()
socket.getaddrinfo("localhost", 80)
for attempt in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.getaddrinfo("example.invalid", 80),
    lambda: socket.gethostbyname("example.invalid"),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: socket.create_server(("0.0.0.0", 0)),
):
    try:
        attempt()
    except ConnectionRefusedError:
        print("refused")
"""

_WORKER = """
import logging, socket, sys
from engine.loopback import LOGGER_NAME, confine
from engine.worker import WorkerBackend
from engine.errors import EngineError
from pathlib import Path

class Printer(logging.Handler):
    def emit(self, record):
        print(record.getMessage())

logging.getLogger(LOGGER_NAME).addHandler(Printer())
confine()
sys.path.insert(0, sys.argv[1])
backend = WorkerBackend()
try:
    backend.load(Path(sys.argv[2]), __import__("engine.types").types.LoadOptions())
except EngineError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("event", "target"),
    [
        ("socket.connect", (ELSEWHERE, 80)),
        ("socket.connect", ("2001:db8::1", 80, 0, 0)),
        ("socket.connect", ("::ffff:192.0.2.1", 80, 0, 0)),
        ("socket.connect", ("localhost.example", 80)),
        ("socket.getaddrinfo", "example.org"),
        ("socket.getaddrinfo", b"example.org"),
        ("socket.bind", ("", 80)),
        ("socket.bind", ("0.0.0.0", 80)),
        ("socket.bind", ("::", 80, 0, 0)),
    ],
)
def test_other_machines_are_foreign_and_so_is_listening_to_them(event: str, target: object) -> None:
    assert is_foreign(event, target)


@pytest.mark.parametrize(
    ("event", "target"),
    [
        ("socket.connect", ("127.0.0.1", 80)),
        ("socket.connect", ("127.8.0.1", 80)),
        ("socket.connect", ("::1", 80, 0, 0)),
        ("socket.connect", ("::ffff:127.0.0.1", 80, 0, 0)),
        ("socket.connect", "/run/some.socket"),
        ("socket.connect", b"\0abstract"),
        ("socket.getaddrinfo", "localhost"),
        ("socket.getaddrinfo", None),
        ("socket.bind", ("127.0.0.1", 0)),
        ("socket.sendmsg", None),
        ("socket.sendmsg", "/run/some.socket"),
    ],
)
def test_this_machine_is_not(event: str, target: object) -> None:
    assert not is_foreign(event, target)


def test_a_confined_process_reaches_only_this_machine() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _CONFINED], capture_output=True, encoding="utf-8", cwd=ROOT, timeout=60
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["refused"] * 5


def test_an_engine_process_of_a_confined_one_is_confined_and_tells(tmp_path: Path) -> None:
    shim = tmp_path / "shim" / "llama_cpp" / "__init__.py"
    shim.parent.mkdir(parents=True)
    shim.write_text(f"import socket\nsocket.create_connection(({ELSEWHERE!r}, 80), timeout=5)\n")

    model = write_model(tmp_path / "贝拉.gguf")

    result = subprocess.run(
        [sys.executable, "-c", _WORKER, str(shim.parents[1]), str(model)],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=60,
    )

    assert result.stdout.split() == [ELSEWHERE, "NativeLibraryMissing"], result.stderr
