"""The engine's wheel: what its build is told, and that a build which did not do it is refused."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from engine_wheel import check_libraries, check_switches, engine_recipe, engine_settings, expected_variants
from product import PackagingError
from source_wheel import Pin, build_environ

PIN = Pin("llama-cpp-python", "0.3.36", "llama-cpp-python==0.3.36 --hash=sha256:00")
HASWELL = {"haswell": frozenset({"-mavx2", "-mfma"})}
COMPILED = "[7/9] c++ -O3 {} -o ggml/src/CMakeFiles/ggml-cpu-haswell.dir/ggml-cpu/quants.c.o -c quants.c"


@pytest.mark.parametrize(
    "trap", ["SOURCE_DATE_EPOCH", "CMAKE_ARGS", "CFLAGS", "GGML_NATIVE", "PIP_FIND_LINKS"]
)
def test_nothing_in_the_environment_changes_how_the_engine_is_built(tmp_path: Path, trap: str) -> None:
    plain = build_environ({"PATH": "/bin"}, tmp_path)

    assert build_environ({"PATH": "/bin", trap: "1"}, tmp_path) == plain


def test_a_date_in_the_environment_leaves_settings_and_kept_wheel_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = engine_recipe(PIN, "linux", "x86_64")

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")

    assert engine_recipe(PIN, "linux", "x86_64").key == before.key
    assert "cmake.define.GGML_CPU_ALL_VARIANTS=ON" in before.settings
    assert "cmake.define.GGML_NATIVE=OFF" in before.settings


def test_another_pin_or_another_setting_is_another_wheel() -> None:
    recipe = engine_recipe(PIN, "linux", "x86_64")
    other_pin = Pin(PIN.name, PIN.version, PIN.line.replace("00", "01"))

    keys = {
        recipe.key,
        engine_recipe(other_pin, "linux", "x86_64").key,
        engine_recipe(PIN, "darwin", "arm64").key,
    }

    assert len(keys) == 3


def test_only_apples_build_has_metal() -> None:
    assert any("GGML_METAL=ON" in setting for setting in engine_settings("darwin"))
    assert not any("METAL" in setting for setting in engine_settings("linux"))


def test_an_unknown_processor_is_refused() -> None:
    with pytest.raises(PackagingError, match="riscv64"):
        expected_variants("linux", "riscv64")


def test_a_build_that_did_as_asked_is_taken() -> None:
    output = "\n".join(
        [
            "-- Adding CPU backend variant ggml-cpu-haswell: -mfma;-mavx2 GGML_FMA;GGML_AVX2",
            COMPILED.format("-mfma -mavx2"),
        ]
    )

    check_switches(output, HASWELL)


@pytest.mark.parametrize(
    ("announced", "compiled", "said"),
    [
        ("", "-mfma -mavx2", "without -mavx2, -mfma"),  # what SOURCE_DATE_EPOCH does
        ("-mfma;-mavx2", "-mfma", "lacks -mavx2"),
        ("-mfma;-mavx2", "-mfma -mavx2 -march=native", "this machine's processor only"),
    ],
)
def test_a_build_without_its_instructions_is_refused(announced: str, compiled: str, said: str) -> None:
    output = f"-- Adding CPU backend variant ggml-cpu-haswell: {announced}\n{COMPILED.format(compiled)}"

    with pytest.raises(PackagingError, match=said):
        check_switches(output, HASWELL)


def test_on_arm_the_extensions_of_one_switch_are_looked_at() -> None:
    expected = {"apple_m2_m3": expected_variants("darwin", "arm64")["apple_m2_m3"]}

    check_switches(
        "Adding CPU backend variant ggml-cpu-apple_m2_m3: -march=armv8.6-a+dotprod+i8mm X", expected
    )
    with pytest.raises(PackagingError, match="i8mm"):
        check_switches(
            "Adding CPU backend variant ggml-cpu-apple_m2_m3: -march=armv8.2-a+dotprod X", expected
        )


def _wheel(folder: Path, *libraries: str) -> Path:
    path = folder / "llama_cpp_python-0.3.36-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in libraries:
            archive.writestr(name, b"")
    return path


def test_a_variant_that_lies_elsewhere_is_missing(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "llama_cpp/lib/libggml-cpu-sse42.so", "bin/libggml-cpu-haswell.so")

    with pytest.raises(PackagingError, match="haswell"):
        check_libraries(wheel, {"sse42", "haswell"}, "linux")


def test_libraries_are_named_as_each_system_names_them(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "llama_cpp/lib/ggml-cpu-haswell.dll")

    check_libraries(wheel, {"haswell"}, "win32")


def test_a_wheel_with_the_library_for_images_is_refused(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "llama_cpp/lib/libggml-cpu-haswell.so", "llama_cpp/lib/libmtmd.so")

    with pytest.raises(PackagingError, match="images"):
        check_libraries(wheel, {"haswell"}, "linux")


@pytest.mark.skipif(sys.platform == "win32", reason="its compiler knows no such switch")
def test_compiled_code_does_not_name_the_folder_it_was_made_in(tmp_path: Path) -> None:
    assert f"-ffile-prefix-map={tmp_path}/=" in build_environ(os.environ, tmp_path)["CFLAGS"]
