"""llama-cpp-python's wheel with a library for every kind of processor, of which the engine loads the best.

ggml calls them variants of the CPU backend. What was asked of the compiler and what it was given is read
from the build's output: a variant without its instructions runs everywhere, and slowly, and nobody is told.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from bundle.pins import Pin
from product import PackagingError
from source_wheel import Recipe

_WITHOUT_COMMON = Path(__file__).with_name("without_common.cmake")
_LIBRARIES = "llama_cpp/lib"

_SSE42 = frozenset({"-msse4.2"})
_SANDYBRIDGE = _SSE42 | {"-mavx"}
_IVYBRIDGE = _SANDYBRIDGE | {"-mf16c"}
_PILEDRIVER = _IVYBRIDGE | {"-mfma"}
_HASWELL = _PILEDRIVER | {"-mavx2", "-mbmi2"}
_SKYLAKEX = _HASWELL | {"-mavx512f", "-mavx512cd", "-mavx512vl", "-mavx512dq", "-mavx512bw"}
_ICELAKE = _SKYLAKEX | {"-mavx512vbmi", "-mavx512vnni"}
_X86 = {
    "x64": frozenset[str](),
    "sse42": _SSE42,
    "sandybridge": _SANDYBRIDGE,
    "ivybridge": _IVYBRIDGE,
    "piledriver": _PILEDRIVER,
    "haswell": _HASWELL,
    "skylakex": _SKYLAKEX,
    "cannonlake": _SKYLAKEX | {"-mavx512vbmi"},
    "cascadelake": _SKYLAKEX | {"-mavx512vnni"},
    "icelake": _ICELAKE,
    "cooperlake": _SKYLAKEX | {"-mavx512vnni", "-mavx512bf16"},
    "zen4": _ICELAKE | {"-mavx512bf16"},
    "alderlake": _HASWELL | {"-mavxvnni"},
    "sapphirerapids": _ICELAKE | {"-mavx512bf16", "-mamx-tile", "-mamx-int8"},
}
# Microsoft's compiler has a switch for whole generations only; ggml leaves out what it can't do.
_MSVC_AVX = {"sandybridge": "/arch:AVX", "haswell": "/arch:AVX2", "alderlake": "/arch:AVX2"}
_MSVC_AVX512 = ("skylakex", "cannonlake", "cascadelake", "icelake")
_MSVC = {
    **dict.fromkeys(("x64", "sse42"), frozenset[str]()),
    **{name: frozenset({switch}) for name, switch in _MSVC_AVX.items()},
    **dict.fromkeys(_MSVC_AVX512, frozenset({"/arch:AVX512"})),
}
# On Arm everything is one switch, `-march=`; its extensions in any order.
_ARM_LINUX = {
    "armv8.0_1": frozenset[str](),
    "armv8.2_1": frozenset({"dotprod"}),
    "armv8.2_2": frozenset({"dotprod", "fp16"}),
    "armv8.2_3": frozenset({"dotprod", "fp16", "sve"}),
    "armv8.6_1": frozenset({"dotprod", "fp16", "sve", "i8mm"}),
    "armv8.6_2": frozenset({"dotprod", "fp16", "sve", "i8mm", "sve2"}),
    "armv9.2_1": frozenset({"dotprod", "fp16", "sve", "i8mm", "sme"}),
    "armv9.2_2": frozenset({"dotprod", "fp16", "sve", "i8mm", "sve2", "sme"}),
}
_ARM_APPLE = {
    "apple_m1": frozenset({"dotprod"}),
    "apple_m2_m3": frozenset({"dotprod", "i8mm"}),
    "apple_m4": frozenset({"dotprod", "i8mm", "nosve", "sme"}),
}

_ANNOUNCED = re.compile(r"Adding CPU backend variant ggml-cpu-(\S+): (.*)")
_COMPILED = re.compile(r"-o \S*ggml-cpu-([^/\\\s]+)\.dir[/\\]")
_NATIVE = re.compile(r"-m(?:arch|cpu|tune)=native|/arch:native")


def expected_variants(system: str, machine: str) -> dict[str, frozenset[str]]:
    """The variants that a build must have, and the compiler's switches (on Arm: extensions) of each.

    system: as `sys.platform`. machine: as `platform.machine()`. Raises PackagingError for an unknown machine.
    """
    is_arm = machine.lower() in ("arm64", "aarch64")
    if not is_arm and machine.lower() not in ("x86_64", "amd64"):
        raise PackagingError(f"there is no list of engine variants for {machine}; build on x86-64 or arm64")
    if system == "win32":
        return {} if is_arm else _MSVC
    if is_arm:
        return _ARM_APPLE if system == "darwin" else _ARM_LINUX
    return _X86


def engine_settings(system: str) -> tuple[str, ...]:
    """What llama-cpp-python's build is told, the same on every machine of a system."""
    defines = {
        "GGML_NATIVE": "OFF",
        "GGML_BACKEND_DL": "ON",
        "GGML_CPU_ALL_VARIANTS": "ON",
        # ggml would put the variants into a folder of programs, where nothing looks for them.
        "CMAKE_INSTALL_BINDIR": _LIBRARIES,
        "CMAKE_INSTALL_LIBDIR": _LIBRARIES,
        "LLAVA_BUILD": "OFF",
        "CMAKE_PROJECT_llama.cpp_INCLUDE": _WITHOUT_COMMON.as_posix(),
    }
    if system == "darwin":
        defines |= {"GGML_METAL": "ON", "GGML_METAL_EMBED_LIBRARY": "ON"}
    return tuple(f"cmake.define.{name}={value}" for name, value in defines.items())


def engine_recipe(pin: Pin, system: str, machine: str) -> Recipe:
    """How the engine's wheel is built for this system. Raises PackagingError for an unknown machine."""
    expected = expected_variants(system, machine)

    def check(wheel: Path, output: str) -> None:
        check_libraries(wheel, set(expected), system)
        check_switches(output, expected)

    return Recipe(pin, engine_settings(system), check, extra=_WITHOUT_COMMON.read_text(encoding="utf-8"))


def check_libraries(wheel: Path, variants: set[str], system: str) -> None:
    """Every variant is in the wheel, where the engine looks for it. Raises PackagingError."""
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist() if name.startswith(f"{_LIBRARIES}/")}
    prefix, suffix = ("", ".dll") if system == "win32" else ("lib", ".so")
    missing = sorted(name for name in variants if f"{prefix}ggml-cpu-{name}{suffix}" not in names)
    if missing:
        raise PackagingError(f"{wheel.name} lacks the engine's code for: {', '.join(missing)}")
    if any("mtmd" in name for name in names):
        raise PackagingError(f"{wheel.name} has the library for images, which nothing uses")


def check_switches(output: str, expected: dict[str, frozenset[str]]) -> None:
    """The compiler was given what each variant needs, and nothing of this machine's. Raises PackagingError.

    output: of the build, with every command of the compiler.
    """
    native = _NATIVE.search(output)
    if native:
        raise PackagingError(f"the engine was built for this machine's processor only ({native[0]})")
    announced = {name: _switches(text) for name, text in _ANNOUNCED.findall(output)}
    for name, switches in expected.items():
        missing = switches - announced.get(name, frozenset())
        if missing:
            raise PackagingError(f"the engine's variant {name} was made without {_listed(missing)}")
    for line in output.splitlines():
        compiled = _COMPILED.search(line)
        if compiled is None:
            continue
        lacking = expected.get(compiled[1], frozenset()) - _switches(line)
        if lacking:
            raise PackagingError(
                f"a part of the engine's variant {compiled[1]} lacks {_listed(lacking)}: {line}"
            )


def _switches(text: str) -> frozenset[str]:
    """Switches of a command or of ggml's list; of `-march=` on Arm, its extensions."""
    words = re.split(r"[\s;]+", text)
    extensions = [word.partition("+")[2].split("+") for word in words if word.startswith("-march=")]
    return frozenset([*words, *(name for found in extensions for name in found)])


def _listed(switches: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(switches))
