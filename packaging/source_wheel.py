"""A wheel built here from a pinned source distribution, and kept for as long as its inputs are the same.

pip fetches the source by name, checks its hash and builds it with the tools of the environment that runs
this, so that these are pinned as well. Wheels that pip built earlier are never taken: who knows for which
processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bundle.pins import Pin
from macos.info import MINIMUM_SYSTEM
from product import ROOT, PackagingError

WORK_PREFIX = "chatbelle-build-"
"""Of the names of the folders in which things are compiled."""

_LOG = "build.log"

# Whatever changes how a compiler or CMake builds, and is set for something else. SOURCE_DATE_EPOCH makes ggml
# switch off the very instruction sets that were asked for.
_UNWANTED = ("SOURCE_DATE_EPOCH", "CMAKE_ARGS", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CL", "_CL_")
_UNWANTED_PREFIXES = ("PIP_", "GGML_", "LLAMA_", "SKBUILD_")


@dataclass(frozen=True)
class Recipe:
    """How one wheel is built. settings: the build backend's, as pip's `-C` takes them.

    check: given the wheel and the build's whole output; raises PackagingError. extra: whatever else changes
    the result, such as the text of a file that a setting names.
    """

    pin: Pin
    settings: tuple[str, ...]
    check: Callable[[Path, str], None] = field(compare=False)
    extra: str = ""

    @property
    def key(self) -> str:
        """The same for the same inputs: the folder of the kept wheel."""
        python = f"{sys.implementation.cache_tag}-{sys.platform}-{platform.machine()}"
        # Wherever the checkout lies; what a setting names in it is in `extra`.
        settings = [setting.replace(ROOT.as_posix(), "") for setting in self.settings]
        inputs = json.dumps([self.pin.line, settings, self.extra, python])
        return f"{self.pin.name}-{self.pin.version}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def obtain_wheel(recipe: Recipe, cache: Path) -> Path:
    """The kept wheel, or a new one; minutes. Raises PackagingError with the place of the build's output."""
    folder = cache / recipe.key
    kept = next(folder.glob("*.whl"), None)
    if kept is not None:
        return kept
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sys.stdout.write(f"building {recipe.pin.name} {recipe.pin.version} from source; see {folder / _LOG}\n")
    sys.stdout.flush()
    with TemporaryDirectory(prefix=WORK_PREFIX) as work:
        wheel = _build(recipe, Path(work).resolve(), folder / _LOG)
        recipe.check(wheel, (folder / _LOG).read_text(encoding="utf-8", errors="replace"))
        return Path(shutil.move(wheel, folder))


def _build(recipe: Recipe, work: Path, log: Path) -> Path:
    # With a hash, a requirement has to be in a file; and settings have to be beside it, or pip ignores them.
    requirements = work / "source.txt"
    settings = "".join(f' --config-settings="{setting}"' for setting in recipe.settings)
    requirements.write_text(f"{recipe.pin.line}{settings}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-cache-dir", "--no-deps"]
    command += ["--no-binary", recipe.pin.name, "--no-build-isolation", "--require-hashes"]
    command += ["--wheel-dir", str(work / "wheels"), "--requirement", str(requirements)]
    with log.open("wb") as output:
        done = subprocess.run(
            command, env=build_environ(os.environ, work), stdout=output, stderr=subprocess.STDOUT
        )
    found = list((work / "wheels").glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise PackagingError(f"{recipe.pin.name} could not be built; the output ends in {log}")
    return found[0]


def build_environ(environ: Mapping[str, str], work: Path) -> dict[str, str]:
    """The build's environment: nothing that changes the code, temporary files in `work`, our tools first."""
    clean = {
        name: value
        for name, value in environ.items()
        if name not in _UNWANTED and not name.startswith(_UNWANTED_PREFIXES)
    }
    clean["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    clean.update(TMPDIR=str(work), TMP=str(work), TEMP=str(work))
    if sys.platform == "darwin":
        clean["MACOSX_DEPLOYMENT_TARGET"] = MINIMUM_SYSTEM
    # Messages name source files: without the folders of the machine that built them.
    if sys.platform == "win32":
        clean["CL"] = f'/d1trimfile:"{work}"'
    else:
        clean |= dict.fromkeys(("CFLAGS", "CXXFLAGS", "OBJCFLAGS"), f"-ffile-prefix-map={work}/=")
    return clean
