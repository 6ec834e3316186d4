"""Signals that stop `chatbelle models` at work: what is left behind, and the exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.checkpoints import write_bloom
from builders.hub import Fault, LocalHub
from builders.processes import Run, document

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


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_download_goes_on_where_it_was(
    environ: dict[str, str], chatbelle: Run, home_folder: Path, tiny_model: Path, number: signal.Signals
) -> None:
    data = tiny_model.read_bytes() + os.urandom(12 << 20)
    models = home_folder / "models"
    with LocalHub() as hub:
        hub.add("owner/name", "tiny.gguf", data)
        online = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1,localhost"}
        hub.fault = lambda seen: Fault(bytes_per_s=4e6) if seen.name else None

        def has_begun() -> bool:
            return any(path.stat().st_size for path in models.glob("*.part.blocks"))

        stop(environ | online, number, has_begun, "download", "owner/name/tiny.gguf")
        assert any(models.glob("*.part"))

        hub.fault = lambda seen: None
        hub.seen.clear()
        done = document(chatbelle("models", "download", "owner/name/tiny.gguf", "--json", env=online))
        asked = [seen.range for seen in hub.file_requests("lfs")]

    assert Path(done["path"]).read_bytes() == data
    assert "bytes=0-" not in asked
    assert [path.name for path in models.iterdir()] == [Path(done["path"]).name]
