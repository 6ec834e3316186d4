"""Signals that stop `chatbelle models import` at work: what is left behind, and the exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.checkpoints import write_bloom

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def stop(
    environ: dict[str, str], number: signal.Signals, is_at_work: Callable[[], bool], *arguments: str
) -> None:
    """Start the command, and end it by the signal when it is at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "models", *arguments],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not is_at_work() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 128 + number, errors
    assert errors.endswith("Interrupted.\n")


@pytest.fixture(scope="module")
def large_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converting it takes long enough to be met at work."""
    folder = tmp_path_factory.mktemp("large") / "bloom"
    return write_bloom(folder, hidden=512, n_layer=6, n_vocab=20_000).folder


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_conversion_leaves_nothing(
    environ: dict[str, str], home_folder: Path, large_checkpoint: Path, number: signal.Signals
) -> None:
    models = home_folder / "models"

    def is_at_work() -> bool:
        return any(path.stat().st_size for path in models.glob(".chatbelle-*"))

    stop(environ, number, is_at_work, "import", str(large_checkpoint), "--type", "q5_k_m")

    assert list(models.iterdir()) == []
