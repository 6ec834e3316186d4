"""The build for every processor answers alike on old ones: the real engine process, emulated by qemu.

Tested are the libraries in the folder CHATBELLE_LIBRARIES (of a bundle: `_internal/llama_cpp/lib`), else
those of this Python, if they were built for every processor. NumPy's own least is x86-64-v2, so that nothing
older than Nehalem needs to work.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.demo_model import prepare_demo
from app.home import Home
from builders.chats import user
from engine import worker_handle
from engine.errors import IllegalInstruction
from engine.native.libraries import cpu_variants
from engine.types import Finished, LoadOptions, Sampling
from engine.worker import WorkerBackend
from engine.worker_start import worker_command

ROOT = Path(__file__).parents[2]
EMULATOR = "qemu-x86_64"
FITTING = {"Nehalem": "sse42", "SandyBridge": "sandybridge", "IvyBridge": "ivybridge", "Haswell": "haswell"}
TOO_OLD = "core2duo"
QUESTION = "ChatBELLE 是什么？"
GREEDY = Sampling(temperature=0, max_tokens=24)


@pytest.fixture(scope="module", autouse=True)
def libraries() -> Iterator[None]:
    """Compute with the libraries to be tested, in this process's children too."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the processors are x86-64")
    with pytest.MonkeyPatch.context() as patch:
        if (folder := os.environ.get("CHATBELLE_LIBRARIES")) is not None:
            patch.setenv("LLAMA_CPP_LIB_PATH", folder)
            assert cpu_variants(), f"{folder} has no build for every processor"
        if not cpu_variants():
            pytest.skip("this is no build for every processor")
        patch.delenv("OPENBLAS_CORETYPE", raising=False)  # names a processor that is not the emulated one
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that is built in, as the app makes it."""
    return prepare_demo(Home(tmp_path_factory.mktemp("家")), lambda: None)


@pytest.fixture
def backend() -> Iterator[WorkerBackend]:
    backend = WorkerBackend()
    yield backend
    backend.close()


def on(processor: str, command: Sequence[str]) -> list[str]:
    """The command line on that processor; qemu says on standard error what of it it does not emulate."""
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is not installed")
    return [EMULATOR, "-cpu", processor, *command]


def emulate(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the engine's process on that processor."""
    command = on(processor, worker_command())
    monkeypatch.setattr(worker_handle, "worker_command", lambda: command)


def answer(backend: WorkerBackend, model: Path) -> str:
    backend.load(model, LoadOptions(threads=1, context_tokens=512))
    *_, finished = backend.chat([user(QUESTION)], GREEDY)
    assert isinstance(finished, Finished)
    return finished.message.text


def loaded_variant(log: pytest.LogCaptureFixture) -> str:
    """As ggml says it in the worker's log."""
    (name,) = re.findall(r"loaded CPU backend from .*ggml-cpu-(\w+)\.so", log.text)
    return str(name)


@pytest.fixture(scope="module")
def native_answer(demo: Path) -> str:
    """What the model says on the processor that is really here."""
    backend = WorkerBackend()
    try:
        return answer(backend, demo)
    finally:
        backend.close()


@pytest.mark.parametrize("processor", FITTING)
def test_the_same_answer_from_code_for_an_older_processor(
    processor: str,
    backend: WorkerBackend,
    demo: Path,
    native_answer: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulate(processor, monkeypatch)
    with caplog.at_level(logging.DEBUG, "engine"):
        found = answer(backend, demo)

    assert found == native_answer
    assert len(found) > 5
    assert loaded_variant(caplog) == FITTING[processor]


def test_an_engine_that_starts_on_too_old_a_processor_tells_what_ended_it(
    backend: WorkerBackend, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate(TOO_OLD, monkeypatch)
    with pytest.raises(IllegalInstruction):
        backend.load(demo, LoadOptions(threads=1))


@pytest.mark.parametrize("command", [["app.cli", "chat", "你好"], ["convert.cli", "inspect", "."]])
def test_on_too_old_a_processor_a_program_says_so(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "CHATBELLE_HOME": str(tmp_path), "LC_ALL": "zh_CN.UTF-8"}
    program = on(TOO_OLD, [sys.executable, "-m", *command])
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert "SSE4.2" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
