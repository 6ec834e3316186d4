"""The CPU code that a build for every processor chooses, and what the libraries say of themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from builders.plug_ins import build_for_no_processor
from engine.errors import NativeLibraryMissing, ProcessorTooOld
from engine.native import binding
from engine.native.features import native_library
from engine.native.libraries import cpu_variants, library_folder
from engine.native.registry import Registry, require_processor

ROOT = Path(__file__).parents[2]


class WithoutCpu(Registry):
    """A registry that has no CPU backend built in, and finds none where it looks."""

    has_cpu = False  # type: ignore[assignment]

    def __init__(self) -> None:
        self.looked_at: list[bytes] = []
        self._load_from = self.looked_at.append


def test_what_the_libraries_say_of_themselves() -> None:
    found = native_library()

    assert found.release == version("llama-cpp-python")
    assert found.ggml.split()[0].count(".") == 2
    variants = cpu_variants()
    assert found.cpu_variant in variants if variants else found.cpu_variant is None
    told = binding.api().llama_print_system_info().decode()
    assert found.cpu_features
    assert all(f" {feature.partition('=')[0]} = " in f" {told}" for feature in found.cpu_features)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_the_code_in_use_is_for_instructions_that_this_processor_has() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    instructions = {"AVX", "AVX2", "FMA", "F16C", "BMI2"} & set(native_library().cpu_features)

    assert {name.lower() for name in instructions} <= set(flags)


def test_the_processor_of_these_tests_is_not_too_old() -> None:
    require_processor()


def test_without_the_libraries_nothing_is_said_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong then is said where they are needed."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    require_processor()


def test_plug_ins_are_looked_for_beside_the_libraries_only() -> None:
    """ggml's own default is the folder of the program, and whatever folder one is in."""
    registry = WithoutCpu()
    with pytest.raises((NativeLibraryMissing, ProcessorTooOld)):
        registry.use_fitting_cpu()

    assert registry.looked_at == [os.fsencode(library_folder())]


def test_a_build_without_any_cpu_code_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(NativeLibraryMissing, match="none") as caught:
        WithoutCpu().use_fitting_cpu()

    assert str(tmp_path) in caught.value.detail


def test_a_plug_in_that_can_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suffix = ".dll" if sys.platform == "win32" else ".so"
    (tmp_path / f"libggml-cpu-haswell{suffix}").write_bytes(b"no library")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    with pytest.raises(NativeLibraryMissing, match="libggml-cpu-haswell"):
        WithoutCpu().use_fitting_cpu()


def test_a_processor_that_none_of_the_plug_ins_fits_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(build_for_no_processor(tmp_path / "库")))

    with pytest.raises(ProcessorTooOld):
        require_processor()
    with pytest.raises(ProcessorTooOld):
        WithoutCpu().use_fitting_cpu()


@pytest.mark.skipif(not cpu_variants(), reason="needs a build for every processor")
def test_a_plug_in_in_the_current_folder_is_not_opened(tmp_path: Path) -> None:
    """llama.cpp would open it if it found no backend registered."""
    fitting = native_library().cpu_variant
    assert fitting is not None
    shutil.copy(cpu_variants()[fitting], tmp_path / "libggml-cpu-zzz.so")
    script = (
        "from engine.native import binding; binding.api()\n"
        "print(sum('zzz' in line for line in open('/proc/self/maps')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True
    )

    assert done.stdout.split()[-1] == b"0"


@pytest.mark.parametrize("command", [["app.cli", "chat", "你好"], ["convert.cli", "inspect", "."]])
def test_on_a_processor_that_is_too_old_a_program_says_so(command: list[str], tmp_path: Path) -> None:
    """Before it loads NumPy, which would end it without a word."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LLAMA_CPP_LIB_PATH": str(build_for_no_processor(tmp_path / "库")),
        "CHATBELLE_HOME": str(tmp_path / "家"),
        "LANG": "en_US.UTF-8",
    }
    for name in ("LC_ALL", "LC_MESSAGES"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "SSE4.2" in line
