"""Build the bundle for the system this runs on: one folder, which starts on a machine without Python.

    python packaging/build.py [--installers]

Needs uv, a C++ compiler and the network, for the sources and wheels that `bundle/requirements.txt` pins. What
takes minutes is kept in `build/` and made again when its inputs change.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

from demo_model import make_demo
from macos.info import MINIMUM_SYSTEM
from product import ROOT, PackagingError

_CACHE = ROOT / "build"
_ENVIRONMENT = _CACHE / "environment"
_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "bundle" / "requirements.txt"
_INSTALLERS = {"linux": "linux.installers", "win32": "windows.installers", "darwin": "macos.installers"}
# numpy: see numpy_wheel.py. proxy-tools, which pywebview needs, is published as a source only.
_FROM_SOURCE = ("llama-cpp-python", "numpy" if sys.platform == "linux" else "proxy-tools")


def main() -> int:
    """Build, say what came out, and fail if it is too large."""
    parser = argparse.ArgumentParser(description="Build the bundle for this system.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "bundle", help="default: dist/bundle")
    parser.add_argument("--installers", action="store_true", help="make this system's packages of it as well")
    options = parser.parse_args()
    try:
        if Path(sys.prefix) != _ENVIRONMENT:
            _prepare_environment()
            return subprocess.run([_python(), __file__, *sys.argv[1:]], check=False).returncode
        _build(options.out.absolute(), with_installers=options.installers)
    except PackagingError as error:
        parser.exit(1, f"{error}\n")
    return 0


def _prepare_environment() -> None:
    """Everything pinned that is installed as a wheel, and nothing else; kept while the pins are the same."""
    text = _REQUIREMENTS.read_text(encoding="utf-8")
    wanted = hashlib.sha256(f"{text}{sys.version}".encode()).hexdigest()
    stamp = _ENVIRONMENT / "made-from"
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    _uv(["venv", "--python", sys.executable, str(_ENVIRONMENT)])
    for name in _FROM_SOURCE:
        text = re.sub(rf"^{re.escape(name)}==[^\n]*\\\n(    --hash=[^\n]*\n)+", "", text, flags=re.MULTILINE)
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", *_oldest_system()]
    _uv(["pip", "install", "--python", _python(), *options, "--requirement", "-"], text)
    stamp.write_text(wanted, encoding="ascii")


def _oldest_system() -> list[str]:
    """On macOS the wheels for the oldest system that the app names, which are not the newest one's."""
    if sys.platform != "darwin":
        return []
    os.environ["MACOSX_DEPLOYMENT_TARGET"] = MINIMUM_SYSTEM
    processor = "aarch64" if platform.machine() == "arm64" else "x86_64"
    return ["--python-platform", f"{processor}-apple-darwin"]


def _python() -> str:
    places = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    return str(_ENVIRONMENT.joinpath(*places))


def _uv(arguments: list[str], text: str | None = None) -> None:
    try:
        done = subprocess.run(["uv", "--quiet", *arguments], input=text, text=True, check=False)
    except FileNotFoundError as error:
        raise PackagingError("uv is not installed; install it (https://docs.astral.sh/uv)") from error
    if done.returncode:
        raise PackagingError(f"uv {' '.join(arguments[:2])} failed; what it said is above")


def _build(out: Path, *, with_installers: bool) -> None:
    from bundle import sizes
    from bundle.finish import finish
    from bundle.licences import write_licences
    from numpy_wheel import forget_builder

    wheels = [_product_wheel(), *_wheels_from_source()]
    _uv(["pip", "install", "--python", _python(), "--no-deps", "--reinstall", *map(str, wheels)])
    forget_builder(Path(sysconfig.get_path("purelib")))
    shutil.rmtree(_CACHE / "demo", ignore_errors=True)
    bundle = _freeze(out, make_demo(_python(), _CACHE / "demo"))
    finish(bundle)
    write_licences(bundle)
    _require_nothing_private(bundle)
    sys.stdout.write(sizes.table(bundle))
    sizes.require_within_budget(bundle)
    if with_installers:
        for path in import_module(_INSTALLERS[sys.platform]).build_installers(bundle, out.parent):
            sys.stdout.write(f"{path.stat().st_size / 1e6:7.1f} MB  {path}\n")
            sizes.require_package_within_budget(path)


def _require_nothing_private(bundle: Path) -> None:
    from bundle.traces import code_for_tests, folders_of_this_build, traces_of

    found = [*traces_of(bundle, folders_of_this_build()), *code_for_tests(bundle)]
    if found:
        raise PackagingError(f"the bundle holds what should have stayed here: {', '.join(found[:20])}")


def _wheels_from_source() -> list[Path]:
    from bundle.pins import read_pins
    from engine_wheel import engine_recipe
    from numpy_wheel import numpy_recipe
    from source_wheel import Recipe, obtain_wheel

    pins, machine = read_pins(), platform.machine()
    recipes = [engine_recipe(pins["llama-cpp-python"], sys.platform, machine)]
    if "numpy" in _FROM_SOURCE:
        recipes.append(numpy_recipe(pins["numpy"], machine))
    else:
        recipes.append(Recipe(pins["proxy-tools"], (), check=lambda _wheel, _output: None))
    return [obtain_wheel(recipe, _CACHE / "wheels") for recipe in recipes]


def _product_wheel() -> Path:
    """The product as everybody else installs it; what is only in the checkout stays there."""
    folder = _CACHE / "product"
    shutil.rmtree(folder, ignore_errors=True)
    how = ["--wheel", "--no-build-isolation", "--python", _python()]
    _uv(["build", *how, "--out-dir", str(folder), str(ROOT)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _freeze(out: Path, demo: Path) -> Path:
    """Run PyInstaller; the bundle's folder, on macOS the app's."""
    shutil.rmtree(out, ignore_errors=True)
    # -P, and not from here: modules and data are to be the installed ones, not the checkout's.
    command = [_python(), "-P", "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
    command += ["--distpath", str(out), "--workpath", str(_CACHE / "pyinstaller")]
    command += [str(_HERE / "bundle" / "chatbelle.spec"), "--", "--demo", str(demo)]
    if subprocess.run(command, cwd=_CACHE, check=False).returncode:
        raise PackagingError("PyInstaller failed; what it said is above")
    return out / ("ChatBELLE.app" if sys.platform == "darwin" else "ChatBELLE")


if __name__ == "__main__":
    sys.exit(main())
