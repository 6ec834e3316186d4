"""A finished bundle: what is in it, what must not be, and that it works.

CHATBELLE_BUNDLE is the folder that `packaging/build.py` made. Without it these tests are skipped; where CI is
true they fail instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from builders.disks import is_ci
from bundle import sizes
from bundle.finish import elf_files
from bundle.licences import FOLDER, bundled_modules
from bundle.traces import folders_of_this_build, tests_inside, traces_of
from engine_wheel import expected_variants

SMOKE = Path(__file__).resolve().parents[2] / "packaging" / "bundle" / "smoke.py"


@pytest.fixture(scope="module")
def bundle() -> Path:
    """The bundle's folder."""
    folder = os.environ.get("CHATBELLE_BUNDLE")
    if folder is None:
        if is_ci():
            pytest.fail("CHATBELLE_BUNDLE is not set; CI must have it")
        pytest.skip("CHATBELLE_BUNDLE is not set")
    return Path(folder)


def _content(bundle: Path) -> Path:
    return bundle / "_internal"


def _entries(bundle: Path) -> list[dict[str, list[str]]]:
    entries: list[dict[str, list[str]]] = json.loads((bundle / FOLDER / "index.json").read_bytes())
    return entries


def test_every_file_has_a_licence(bundle: Path) -> None:
    patterns = [pattern for entry in _entries(bundle) for pattern in entry["covers"]]
    files = [path for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()]
    names = [path.relative_to(bundle).as_posix() for path in files if FOLDER not in path.parts]

    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_every_python_module_has_a_licence(bundle: Path) -> None:
    assert bundled_modules(bundle) <= {module for entry in _entries(bundle) for module in entry["modules"]}


def test_every_licence_has_its_text_and_stands_in_the_page(bundle: Path) -> None:
    page = (bundle / FOLDER / "index.html").read_text(encoding="utf-8")
    for entry in _entries(bundle):
        assert entry["files"]
        assert str(entry["name"]) in page
        for file in entry["files"]:
            assert (bundle / FOLDER / file).stat().st_size > 0
            assert f'href="{file}"' in page


def test_nothing_copyleft_is_inside_but_what_allows_it(bundle: Path) -> None:
    licences = {str(entry["licence"]) for entry in _entries(bundle)}

    assert [one for one in licences if one.startswith(("GPL", "AGPL")) and " WITH " not in one] == []


def test_no_test_and_no_training_code_is_inside(bundle: Path) -> None:
    assert tests_inside(bundle) == []


def test_nothing_names_a_folder_of_the_build(bundle: Path) -> None:
    assert traces_of(bundle, folders_of_this_build()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="ELF files only")
def test_no_library_is_looked_for_outside_the_bundle(bundle: Path) -> None:
    for path in elf_files(bundle):
        dynamic = subprocess.run(["readelf", "--dynamic", path], capture_output=True, text=True).stdout
        paths = [line for line in dynamic.splitlines() if "(RUNPATH)" in line or "(RPATH)" in line]
        assert all("[$ORIGIN" in line for line in paths), f"{path}: {paths}"


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_the_engine_has_its_code_for_every_processor_and_each_library_once(bundle: Path) -> None:
    import platform

    names = sorted(path.name for path in (_content(bundle) / "llama_cpp" / "lib").iterdir())
    variants = expected_variants(sys.platform, platform.machine())
    common = ["libggml-base.so.0", "libggml.so.0", "libllama.so"]

    assert names == sorted([*common, *(f"libggml-cpu-{name}.so" for name in variants)])


def test_the_demo_is_inside_ready_made(bundle: Path) -> None:
    demo = _content(bundle) / "assets" / "demo"

    assert sorted({path.suffix for path in demo.iterdir()}) == [".gguf", ".md", ".sha256"]


def test_it_weighs_no_more_than_it_may(bundle: Path) -> None:
    sizes.require_within_budget(bundle)


@pytest.mark.timeout(1200)
def test_it_answers_converts_serves_its_page_and_survives_its_engine(bundle: Path) -> None:
    tried = subprocess.run([sys.executable, SMOKE, bundle], capture_output=True, encoding="utf-8")

    assert tried.returncode == 0, tried.stderr
    assert len(tried.stdout.splitlines()) == 4
