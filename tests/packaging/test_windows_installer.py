"""The installer for Windows, compiled and really run, by Wine: what it puts where, and what it leaves."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pefile
import pytest

from builders.programs import find_program
from builders.wine import Wine
from product import PackagingError, Product
from windows.installers import PROGRAMS, build_installers, compile_installer
from windows.payload import payload_script

UNINSTALL = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\ChatBELLE"
CLASSES = r"HKCU\Software\Classes"
REFUSED = 2
OLD, NEW = Product("0.1.0", 1_700_000_000), Product("0.2.0", 1_800_000_000)

# Says that it runs, and goes on for a while, as a program that someone works with.
_PROGRAM = """
Unicode true
Target amd64-unicode
RequestExecutionLevel user
SilentInstall silent
OutFile "{out}"
Section
  FileOpen $0 "$TEMP\\runs" w
  FileClose $0
  Sleep 300000
SectionEnd
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    script = folder / "program.nsi"
    script.write_text(_PROGRAM.format(out=folder / "program.exe"))
    subprocess.run([find_program("makensis", "nsis"), "-V1", script], check=True, timeout=60)
    return folder / "program.exe"


@pytest.fixture
def bundle(tmp_path: Path, program: Path) -> Path:
    """A folder of the shape that PyInstaller makes on Windows."""
    folder = tmp_path / "捆 bundle"
    (folder / "_internal" / "深 处" / "空").mkdir(parents=True)
    (folder / "licences").mkdir()
    for name in PROGRAMS:
        shutil.copy(program, folder / name)
    (folder / "_internal" / "深 处" / "数据 $x.json").write_text("{}")
    (folder / "licences" / "index.txt").write_text("Apache-2.0")
    return folder


@pytest.fixture(scope="module")
def _prefix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    folder = tmp_path_factory.mktemp("wine") / "prefix"
    wine = Wine(folder)
    wine.set(r"HKCU\Software\Wine", "Version", "win10")
    yield wine
    wine.close()
    shutil.rmtree(folder)  # 700 MB, which pytest would keep for a while


@pytest.fixture
def wine(_prefix: Wine) -> Iterator[Wine]:
    yield _prefix
    _prefix.close()
    for folder in ("Programs", "ChatBELLE"):
        shutil.rmtree(_prefix.path("%LOCALAPPDATA%") / folder, ignore_errors=True)
    for key in (UNINSTALL, rf"{CLASSES}\.gguf", rf"{CLASSES}\ChatBELLE.gguf"):
        _prefix.run("reg", "delete", key, "/f")


def compiled(bundle: Path, product: Product = OLD) -> Path:
    return compile_installer(bundle, bundle.parent / f"{product.version}-setup.exe", product)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def install(wine: Wine, setup: Path) -> Path:
    assert wine.run(setup, "/S") == 0
    return wine.path(r"%LOCALAPPDATA%\Programs\ChatBELLE")


def uninstall(wine: Wine, folder: Path, *words: str, **variables: str) -> None:
    """It goes on in a copy of itself, in the temporary folder."""
    assert wine.run(folder / "uninstall.exe", "/S", *words, **variables) == 0
    deadline = time.monotonic() + 60
    while (folder / "uninstall.exe").exists() or wine.has(UNINSTALL):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_programs_are_where_the_start_menu_and_the_list_of_apps_say(bundle: Path, wine: Wine) -> None:
    folder = install(wine, compiled(bundle))

    installed = contents(folder)
    assert installed.pop("uninstall.exe")[:2] == b"MZ"
    assert installed == contents(bundle)
    assert (folder / "_internal" / "深 处" / "空").is_dir()
    entry = wine.query(UNINSTALL)
    assert (entry["DisplayName"], entry["DisplayVersion"]) == ("ChatBELLE", "0.1.0")
    assert entry["Publisher"]
    assert int(entry["EstimatedSize"], 16) * 1024 >= sum(map(len, contents(bundle).values()))
    assert entry["UninstallString"].strip('"').endswith(r"\Programs\ChatBELLE\uninstall.exe")
    menu = wine.path(r"%APPDATA%\Microsoft\Windows\Start Menu\Programs\ChatBELLE.lnk").read_bytes()
    assert "ChatBELLE.exe".encode("utf-16-le") in menu
    assert not wine.path(r"%USERPROFILE%\Desktop\ChatBELLE.lnk").exists()


def test_models_can_be_opened_and_a_persons_own_choice_stays(bundle: Path, wine: Wine) -> None:
    wine.set(rf"{CLASSES}\.gguf", "", "Other.model")

    folder = install(wine, compiled(bundle))

    assert wine.query(rf"{CLASSES}\.gguf")[""] == "Other.model"
    assert "ChatBELLE.gguf" in wine.query(rf"{CLASSES}\.gguf\OpenWithProgids")
    command = wine.query(rf"{CLASSES}\ChatBELLE.gguf\shell\open\command")[""]
    assert command.endswith(r'\Programs\ChatBELLE\ChatBELLE.exe" "%1"')
    uninstall(wine, folder)
    assert wine.query(rf"{CLASSES}\.gguf") == {"": "Other.model"}
    assert not wine.has(rf"{CLASSES}\ChatBELLE.gguf")


def test_a_folder_of_any_name_can_be_chosen_and_is_found_again(bundle: Path, wine: Wine) -> None:
    # Everything after /D= is the folder, unquoted: these are two words of the command line.
    assert wine.run(compiled(bundle), "/S", r"/D=C:\用户", r"小明\ChatBELLE") == 0

    folder = wine.path(r"C:\用户 小明\ChatBELLE")
    assert contents(folder).keys() > contents(bundle).keys()
    assert wine.run(compiled(bundle, NEW), "/S") == 0
    assert not wine.path(r"%LOCALAPPDATA%\Programs\ChatBELLE").exists()
    uninstall(wine, folder)
    assert not folder.exists()


def test_an_upgrade_removes_what_the_new_version_lacks_and_keeps_the_data(bundle: Path, wine: Wine) -> None:
    data = wine.path(r"%LOCALAPPDATA%\ChatBELLE\history")
    data.mkdir(parents=True)
    (data / "chats.db").write_text("mine")
    (bundle / "_internal" / "old.dll").write_text("old")
    folder = install(wine, compiled(bundle))
    (bundle / "_internal" / "old.dll").unlink()
    (bundle / "_internal" / "new.dll").write_text("new")

    install(wine, compiled(bundle, NEW))

    assert {*contents(folder)} == {*contents(bundle), "uninstall.exe"}
    assert wine.query(UNINSTALL)["DisplayVersion"] == "0.2.0"
    assert (data / "chats.db").read_text() == "mine"


def test_uninstalling_leaves_the_data_and_nothing_else(bundle: Path, wine: Wine) -> None:
    before = {*wine.path("%LOCALAPPDATA%").iterdir()}
    folder = install(wine, compiled(bundle))
    data = wine.path(r"%LOCALAPPDATA%\ChatBELLE")
    data.mkdir()
    (data / "settings.json").write_text("{}")

    uninstall(wine, folder)

    assert {*wine.path("%LOCALAPPDATA%").iterdir()} - before <= {data, folder.parent}
    assert not folder.exists()
    assert (data / "settings.json").exists()
    assert not wine.path(r"%APPDATA%\Microsoft\Windows\Start Menu\Programs\ChatBELLE.lnk").exists()
    assert not wine.has(rf"{CLASSES}\.gguf")
    assert not wine.has(rf"{CLASSES}\Applications\ChatBELLE.exe")


def test_uninstalling_deletes_the_data_when_asked_but_no_folder_of_ones_own(
    bundle: Path, wine: Wine, tmp_path: Path
) -> None:
    folder = install(wine, compiled(bundle))
    data, own = wine.path(r"%LOCALAPPDATA%\ChatBELLE"), wine.path(r"C:\自己的 数据")
    for place in (data / "models" / "深", own):
        place.mkdir(parents=True)
        (place / "贝拉.gguf").write_text("GGUF")

    uninstall(wine, folder, "/DELETEDATA", CHATBELLE_HOME=r"C:\自己的 数据")

    assert not data.exists()
    assert (own / "贝拉.gguf").exists()


def test_what_a_person_put_beside_the_program_stays(bundle: Path, wine: Wine) -> None:
    folder = install(wine, compiled(bundle))
    (folder / "_internal" / "notes.txt").write_text("mine")

    uninstall(wine, folder)

    assert contents(folder) == {"_internal/notes.txt": b"mine"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_runs_is_not_replaced(bundle: Path, wine: Wine, name: str) -> None:
    folder = install(wine, compiled(bundle))
    before = contents(folder)
    runs = wine.path("%TEMP%") / "runs"
    runs.unlink(missing_ok=True)
    running = wine.start(folder / name)
    try:
        deadline = time.monotonic() + 60
        while not runs.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (bundle / "_internal" / "new.dll").write_text("new")

        assert wine.run(compiled(bundle, NEW), "/S") == REFUSED
        assert wine.run(folder / "uninstall.exe", "/S", f"_?={folder}") == REFUSED

        assert contents(folder) == before
        assert wine.query(UNINSTALL)["DisplayVersion"] == "0.1.0"
    finally:
        running.kill()
        running.communicate()


def test_an_old_windows_is_refused(bundle: Path, wine: Wine) -> None:
    wine.set(r"HKCU\Software\Wine", "Version", "win81")
    try:
        assert wine.run(compiled(bundle), "/S") == REFUSED
    finally:
        wine.set(r"HKCU\Software\Wine", "Version", "win10")

    assert not wine.path(r"%LOCALAPPDATA%\Programs\ChatBELLE").exists()


def test_it_says_what_it_is_in_both_languages(bundle: Path) -> None:
    with pefile.PE(compiled(bundle)) as setup:
        tables = {
            table.LangID.decode(): {key.decode(): value.decode() for key, value in table.entries.items()}
            for resource in setup.FileInfo  # NSIS writes one for each language
            for info in resource
            if info.name == "StringFileInfo"
            for table in info.StringTable
        }
        kinds = {entry.id: entry for entry in setup.DIRECTORY_ENTRY_RESOURCE.entries}
        (manifest,) = (
            setup.get_data(leaf.data.struct.OffsetToData, leaf.data.struct.Size).decode()
            for name in kinds[pefile.RESOURCE_TYPE["RT_MANIFEST"]].directory.entries
            for leaf in name.directory.entries
        )
        fixed = setup.VS_FIXEDFILEINFO[0]
        icons = kinds[pefile.RESOURCE_TYPE["RT_ICON"]].directory.entries

    assert {language[:4] for language in tables} == {"0409", "0804"}
    assert all(table["ProductVersion"] == "0.1.0" for table in tables.values())
    assert "安装程序" in tables["080403a8"]["FileDescription"]
    assert (fixed.FileVersionMS, fixed.FileVersionLS) == (0x1, 0x0)
    assert "longPathAware" in manifest
    assert 'level="asInvoker"' in manifest
    assert len(icons) == 10


def test_an_unfinished_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "chatbelle.com").unlink()

    with pytest.raises(PackagingError, match=r"it lacks chatbelle\.com"):
        build_installers(bundle, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_what_nsis_cant_carry_is_refused(bundle: Path) -> None:
    (bundle / "link").symlink_to("ChatBELLE.exe")

    with pytest.raises(PackagingError, match="is a link"):
        payload_script(bundle)
