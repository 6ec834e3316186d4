"""Closing the app while the engine thread is at work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders.processes import python_environment

PROGRAM = """
import logging, sys, time
from pathlib import Path
from app.chat import engine_host
from app.chat.service import ChatService
from app.history.store import HistoryStore
from app.home import Home
from app.personas import PersonaStore
from app.settings import SettingsStore
from builders.fake_backend import FakeBackend

logging.basicConfig()
engine_host._CLOSE_PATIENCE_S = 0.02  # as if the demo took long
home = Home(Path(sys.argv[1]))
home.make()
service = ChatService(home=home, settings=SettingsStore(home.root), personas=PersonaStore(home.root),
    history=HistoryStore.open(home.make(home.history)), make_backend=FakeBackend, language="en")
service.load()
while service.state.phase != "loading":
    time.sleep(0.001)
time.sleep(float(sys.argv[2]))
service.close()
"""


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2])
def test_closing_while_the_demo_is_made_is_quiet_and_leaves_nothing(tmp_path: Path, delay_s: float) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "数据"), str(delay_s)]
    result = subprocess.run(
        command, env=python_environment(), capture_output=True, text=True, check=False, timeout=60
    )

    assert (result.returncode, result.stderr) == (0, "")
    demo = tmp_path / "数据" / "demo"
    left = os.listdir(demo) if demo.exists() else []
    assert all(name.endswith((".gguf", ".sha256")) for name in left)
