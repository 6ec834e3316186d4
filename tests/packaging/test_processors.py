"""The build for every processor answers alike on old ones: the real engine process, emulated by qemu.

Tested is the bundle in the folder CHATBELLE_BUNDLE, else this Python, if its libraries were built for every
processor. NumPy's own least is x86-64-v2, so that nothing older than Nehalem needs to work.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
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


@pytest.fixture(scope="module")
def bundle() -> Path | None:
    """The bundle to be tested."""
    folder = os.environ.get("CHATBELLE_BUNDLE")
    return None if folder is None else Path(folder).resolve()


@pytest.fixture(scope="module", autouse=True)
def processors(bundle: Path | None) -> Iterator[None]:
    """Skip where nothing can be tested; in CI that fails for want of the emulator."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the processors are x86-64")
    if bundle is None and not cpu_variants():
        pytest.skip("this is no build for every processor")
    if shutil.which(EMULATOR) is None and not os.environ.get("CI"):
        pytest.skip(f"{EMULATOR} is not installed")
    with pytest.MonkeyPatch.context() as patch:
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


def engine_command(bundle: Path | None) -> list[str]:
    """The command line of the engine's process."""
    with pytest.MonkeyPatch.context() as patch:
        if bundle is not None:
            patch.setattr(sys, "frozen", True, raising=False)
            patch.setattr(sys, "executable", str(bundle / "chatbelle"))
        return worker_command()


def on(processor: str, command: Sequence[str], bundle: Path | None) -> list[str]:
    """A command line on that processor; qemu says on standard error what of it it does not emulate."""
    variables = {}
    if bundle is not None:
        # What PyInstaller's starter sets before it starts itself once more, which would be outside of qemu.
        variables = {
            "LD_LIBRARY_PATH": str(bundle / "_internal"),
            "_PYI_APPLICATION_HOME_DIR": str(bundle / "_internal"),
            "_PYI_ARCHIVE_FILE": command[0],
            "_PYI_PARENT_PROCESS_LEVEL": "0",
        }
    given = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
    return [EMULATOR, "-cpu", processor, *given, *command]


@pytest.fixture
def emulate(bundle: Path | None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run the engine's process on a processor from now on."""

    def emulate(processor: str) -> None:
        command = on(processor, engine_command(bundle), bundle)
        monkeypatch.setattr(worker_handle, "worker_command", lambda: command)

    return emulate


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
def native_answer(demo: Path, bundle: Path | None) -> str:
    """What the model says on the processor that is really here."""
    backend, command = WorkerBackend(), engine_command(bundle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_handle, "worker_command", lambda: command)
        found = answer(backend, demo)
        backend.close()
    return found


@pytest.mark.parametrize("processor", FITTING)
def test_the_same_answer_from_code_for_an_older_processor(
    processor: str,
    backend: WorkerBackend,
    demo: Path,
    native_answer: str,
    emulate: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulate(processor)
    with caplog.at_level(logging.DEBUG, "engine"):
        found = answer(backend, demo)

    assert found == native_answer
    assert len(found) > 5
    assert loaded_variant(caplog) == FITTING[processor]


def test_an_engine_that_starts_on_too_old_a_processor_tells_what_ended_it(
    backend: WorkerBackend, demo: Path, emulate: Callable[[str], None]
) -> None:
    emulate(TOO_OLD)
    with pytest.raises(IllegalInstruction):
        backend.load(demo, LoadOptions(threads=1))


@pytest.mark.parametrize(
    ("program", "module", "arguments"),
    [("chatbelle", "app.cli", ["chat", "你好"]), ("belle-convert", "convert.cli", ["inspect", "."])],
)
def test_on_too_old_a_processor_a_program_says_so(
    program: str, module: str, arguments: list[str], bundle: Path | None, tmp_path: Path
) -> None:
    start = [sys.executable, "-m", module] if bundle is None else [str(bundle / program)]
    environment = {**os.environ, "CHATBELLE_HOME": str(tmp_path), "LC_ALL": "zh_CN.UTF-8"}
    command = on(TOO_OLD, [*start, *arguments], bundle)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert "SSE4.2" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
