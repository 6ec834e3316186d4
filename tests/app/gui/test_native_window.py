"""The native window without one: a stand-in for Flet's client program speaks its protocol to the real app."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the stand-in is a Linux program"
)

ROOT = Path(__file__).resolve().parents[3]

# Frames are a length (4 bytes, little-endian), a zero byte and MsgPack of [action, body]; actions are
# 1 register, 2 patch, 3 event, 4 property update, 5 method call (flet.messaging.protocol). The window is
# control 2.
CLIENT = """
import json, os, socket, sys, time
import msgpack

address, pid_file = sys.argv[1:3]
folder = os.path.dirname(os.path.abspath(__file__))
with open(pid_file, "w") as file:
    file.write(str(os.getpid()))
with open(os.path.join(folder, "pid"), "w") as file:
    file.write(str(os.getpid()))
connection = socket.socket(socket.AF_UNIX)
connection.connect(address)
stream = connection.makefile("rwb")

def send(action, body):
    packet = b"\\0" + msgpack.packb([action, body])
    stream.write(len(packet).to_bytes(4, "little") + packet)
    stream.flush()

def receive():
    length = int.from_bytes(stream.read(4), "little")
    return msgpack.unpackb(stream.read(length)[1:], strict_map_key=False) if length else None

page = {"web": False, "platform": "linux", "width": 1100.0, "height": 760.0, "pwa": False, "wasm": False}
send(1, {"session_id": None, "page_name": "", "page": page})
with open(os.path.join(folder, "seen.jsonl"), "w") as seen:
    while True:
        message = receive()
        if message is None:
            break
        print(json.dumps(message, default=str), file=seen, flush=True)
        action, body = message
        if action == 2 and os.environ.get("CLOSES"):
            os.environ["CLOSES"] = ""
            send(4, {"id": 2, "props": {"width": 640.0, "height": 500.0, "left": 7.0, "top": 9.0}})
            send(3, {"target": 2, "name": "event", "data": {"type": "close"}})
        if action == 5 and body["name"] == "destroy":
            break
"""


class Running:
    """`chatbelle gui` with the stand-in for a window."""

    def __init__(self, home: Path, folder: Path, *, closes: bool) -> None:
        self.folder = folder
        client = folder / "flet"
        client.write_text(f"#!{sys.executable}\n{textwrap.dedent(CLIENT)}", encoding="utf-8")
        client.chmod(0o755)
        environ = {**os.environ, "CHATBELLE_HOME": str(home), "LC_ALL": "C.UTF-8", "DISPLAY": ":99"}
        environ |= {"FLET_VIEW_PATH": str(folder), "CLOSES": "1" if closes else "", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli"],
            env=environ,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def wait(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stdout, stderr

    def wait_until_shown(self) -> None:
        """Until the page was drawn."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if any(message[0] == 2 for message in self.messages()):
                return
            time.sleep(0.1)
        raise AssertionError(self.messages())

    def messages(self) -> list[list[object]]:
        """What the client was sent."""
        seen = self.folder / "seen.jsonl"
        lines = seen.read_text(encoding="utf-8").splitlines() if seen.exists() else []
        return [json.loads(line) for line in lines if line.endswith("]")]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A data folder and a place for the client."""
    (tmp_path / "客户端").mkdir()
    return tmp_path / "数据", tmp_path / "客户端"


def test_closing_the_window_saves_its_place_and_ends_the_app(folders: tuple[Path, Path]) -> None:
    home, folder = folders

    code, stdout, stderr = Running(home, folder, closes=True).wait()

    assert (code, stdout, stderr) == (0, "", "")
    window = json.loads((home / "settings.json").read_text(encoding="utf-8"))["window"]
    assert window == {"width": 640, "height": 500, "left": 7, "top": 9, "maximized": False}
    log = (home / "logs" / "chatbelle.log").read_text(encoding="utf-8")
    assert "ERROR app.views" not in log
    assert "ERROR flet" not in log


def test_a_signal_closes_the_window_and_ends_the_app(folders: tuple[Path, Path]) -> None:
    home, folder = folders
    running = Running(home, folder, closes=False)
    running.wait_until_shown()

    running.process.send_signal(signal.SIGTERM)

    code, _, stderr = running.wait()
    assert (code, stderr) == (0, "")
    pid = int((folder / "pid").read_text(encoding="utf-8"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
