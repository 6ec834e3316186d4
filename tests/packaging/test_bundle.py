"""A finished bundle: what is in it, what must not be, and that it works.

CHATBELLE_BUNDLE is the folder that `packaging/build.py` made. Without it these tests are skipped; where CI is
true they fail instead.
"""

from __future__ import annotations

import html
import os
import platform
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from builders.disks import is_ci
from builders.screen import missing_for_windows, open_screen
from bundle import sizes
from bundle.finish import elf_files
from bundle.index import licences_folder, read_index
from bundle.licences import bundled_modules
from bundle.traces import code_for_tests, folders_of_this_build, traces_of
from engine_wheel import expected_variants

WAIT_S = 120
PRIMARY = (0, 106, 102)  # the button that sends
PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


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


def test_every_file_has_a_licence(bundle: Path) -> None:
    patterns = [pattern for entry in read_index(bundle) for pattern in entry.covers]
    files = [path for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()]
    licences = licences_folder(bundle)
    names = [path.relative_to(bundle).as_posix() for path in files if licences not in path.parents]

    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_every_python_module_has_a_licence(bundle: Path) -> None:
    assert bundled_modules(bundle) <= {module for entry in read_index(bundle) for module in entry.modules}


def test_every_licence_has_its_text_and_stands_in_the_page(bundle: Path) -> None:
    page = (licences_folder(bundle) / "index.html").read_text(encoding="utf-8")
    for entry in read_index(bundle):
        assert entry.files
        assert html.escape(entry.name) in page
        for file in entry.files:
            assert (licences_folder(bundle) / file).stat().st_size > 0
            assert f'href="{file}"' in page


def test_nothing_copyleft_is_inside_but_what_allows_it(bundle: Path) -> None:
    licences = {entry.licence for entry in read_index(bundle)}

    assert [one for one in licences if one.startswith(("GPL", "AGPL")) and " WITH " not in one] == []


def test_no_test_and_no_training_code_is_inside(bundle: Path) -> None:
    assert code_for_tests(bundle) == []


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
    names = sorted(path.name for path in (_content(bundle) / "llama_cpp" / "lib").iterdir())
    variants = expected_variants(sys.platform, platform.machine())
    common = ["libggml-base.so.0", "libggml.so.0", "libllama.so"]

    assert names == sorted([*common, *(f"libggml-cpu-{name}.so" for name in variants)])


def test_the_demo_is_inside_ready_made(bundle: Path) -> None:
    demo = _content(bundle) / "assets" / "demo"

    assert sorted({path.suffix for path in demo.iterdir()}) == [".gguf", ".md", ".sha256"]


def test_it_weighs_no_more_than_it_may(bundle: Path) -> None:
    sizes.require_within_budget(bundle)


@pytest.mark.skipif(sys.platform != "linux", reason="libraries of Linux")
def test_only_libraries_that_systems_differ_in_are_brought_along(bundle: Path) -> None:
    """One of GTK's would not go with the rest of the system's; two of the compiler's wait to be needed."""
    found = {path.relative_to(_content(bundle)).as_posix() for path in _content(bundle).rglob("*.so*")}
    gtk = ("libgtk", "libgdk", "libglib", "libgobject", "libX11", "libwebkit", "libz.")

    assert [name for name in found if name.startswith(gtk)] == []
    assert {name for name in found if "libstdc++" in name} == {"fallback/libstdc++.so.6"}
    assert {name for name in found if "libgcc_s" in name} == {"fallback/libgcc_s.so.1"}


@pytest.mark.skipif(sys.platform != "linux", reason="WebKitGTK")
def test_its_window_is_the_systems_with_the_systems_libraries(bundle: Path, tmp_path: Path) -> None:
    lack = missing_for_windows()
    if lack is not None:
        pytest.fail(lack) if is_ci() else pytest.skip(lack)
    with open_screen() as screen:
        own = {"CHATBELLE_HOME": str(tmp_path / "数据"), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        with subprocess.Popen([bundle / "chatbelle"], env={**os.environ, **screen.environ, **own}) as program:
            try:
                window = screen.wait_for(screen.windows, "a window", WAIT_S)[0]
                maps = Path(f"/proc/{program.pid}/maps").read_text()
                screen.wait_for(lambda: screen.picture().count(PRIMARY) > 400, "the page is drawn", WAIT_S)
                screen.close(window)
                assert program.wait(WAIT_S) == 0
            finally:
                program.kill()

    loaded = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/lib" in line}
    shared = [path for path in loaded if Path(path).name.startswith(("libstdc++", "libgcc_s", "libz."))]
    assert len(shared) == 3
    assert [path for path in shared if Path(path).is_relative_to(bundle.resolve())] == []


@pytest.mark.timeout(1200)
def test_it_tests_itself_converts_serves_its_page_and_survives_its_engine(bundle: Path) -> None:
    command = [sys.executable, "-m", "bundle.smoke", bundle]
    environ = {**os.environ, "PYTHONPATH": str(PACKAGING)}
    tried = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8")

    assert tried.returncode == 0, tried.stderr
    assert len(tried.stdout.splitlines()) == 4
