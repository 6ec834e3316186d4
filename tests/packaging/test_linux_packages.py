"""The Linux packages, built from a folder laid out like the bundle and looked at with Debian's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from builders.bundles import write_bundle
from builders.disks import is_ci
from linux.copyright import write_copyright
from linux.deb import debian_architecture, debian_version
from linux.glibc_floor import read_needs
from linux.installers import build_installers
from product import PackagingError, find_product

TOOLS = ("objdump", "rsvg-convert", "xz", "dpkg-deb")
ROOT = Path(__file__).parents[2]


def need(*programs: str) -> None:
    """Skip where a program is missing; fail in CI."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        (pytest.fail if is_ci() else pytest.skip)(f"not installed: {', '.join(missing)}")


def said(*command: str | Path, **options: object) -> str:
    """What a program prints, which must succeed."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux":
        pytest.skip("for Linux")
    return write_bundle(tmp_path_factory.mktemp("bundle") / "ChatBELLE")


@pytest.fixture(scope="session")
def packages(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tarball and the .deb."""
    need(*TOOLS)
    tarball, deb = build_installers(bundle, tmp_path_factory.mktemp("packages"))
    return tarball, deb


@pytest.fixture(scope="session")
def installed(packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb unpacked; its files are where a system has them below /."""
    root = tmp_path_factory.mktemp("system")
    said("dpkg-deb", "--extract", packages[1], root)
    return root


@pytest.fixture(scope="session")
def unpacked(packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tarball, in a place with a name that needs quoting."""
    place = tmp_path_factory.mktemp("unpacked") / '下载 a "b" $HOME `c` 100% d\\e'
    place.mkdir()
    said("tar", "--extract", "--xz", "--file", packages[0], "--directory", place)
    return place / "ChatBELLE"


def test_two_builds_give_the_same_bytes(
    bundle: Path, packages: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(find_product().epoch_s))
    for path in bundle.rglob("*"):
        os.utime(path, (1, 1))

    again = build_installers(bundle, tmp_path)

    assert [path.name for path in again] == [path.name for path in packages]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in packages]


def test_lintian_has_nothing_to_say(packages: tuple[Path, Path]) -> None:
    need("lintian")
    tags = said("lintian", "--fail-on", "error,warning", "--allow-root", packages[1])

    assert tags == ""


def test_the_desktop_files_are_valid(installed: Path) -> None:
    need("desktop-file-validate", "appstreamcli")
    share = installed / "usr" / "share"

    assert said("desktop-file-validate", *share.glob("applications/*")) == ""
    said("appstreamcli", "validate", "--no-net", *share.glob("metainfo/*"))


def test_a_gguf_is_known_by_its_name_and_by_its_first_bytes(installed: Path, tmp_path: Path) -> None:
    need("update-mime-database", "gio")
    share = tmp_path / "share"
    shutil.copytree(installed / "usr" / "share", share)
    said("update-mime-database", share / "mime")
    named, nameless = tmp_path / "模型.gguf", tmp_path / "模型"
    named.write_bytes(b"\x00\x01 anything")
    nameless.write_bytes(b"GGUF\x03\0\0\0" + bytes(16))
    environ = {**os.environ, "XDG_DATA_HOME": str(share), "LC_ALL": "C.UTF-8"}

    for path in (named, nameless):
        told = said("gio", "info", "--attributes=standard::content-type", path, env=environ)
        assert "application/x-gguf" in told


def test_the_package_depends_on_what_its_libraries_need(bundle: Path, packages: tuple[Path, Path]) -> None:
    needs = read_needs(bundle)
    told = said("dpkg-deb", "--field", packages[1], "Depends", "Recommends", "Installed-Size")

    assert f"Depends: libc6 (>= {needs.glibc})\n" in told
    assert needs.highest == ("_internal/liba.so",)
    assert "libwebkit2gtk-4.1-0 | libwebkit2gtk-4.0-37" in told
    assert "gtk" not in told.splitlines()[0]


def test_the_programs_are_found_by_their_names(installed: Path) -> None:
    for program in ("chatbelle", "belle-convert"):
        help_text = said(installed / "usr" / "bin" / program, "--lang", "en", "--help")
        assert help_text.startswith(f"Usage: {program}")


def test_the_manual_says_what_the_programs_say_of_every_command(installed: Path) -> None:
    need("man")
    manual = installed / "usr" / "share" / "man"
    environ = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""}

    english = said("man", "--local-file", manual / "man1" / "chatbelle.1.gz", env=environ)
    chinese = said("man", "--local-file", manual / "zh_CN" / "man1" / "belle-convert.1.gz", env=environ)

    assert "chatbelle models import" in english
    assert "--temperature X" in english
    assert "belle-convert to-gguf" in chinese
    assert "把检查点转换成 GGUF 文件" in chinese


def test_the_licences_of_the_parts_are_in_the_copyright_file(installed: Path) -> None:
    text = (installed / "usr" / "share" / "doc" / "chatbelle" / "copyright").read_text(encoding="utf-8")

    assert "Files: usr/lib/chatbelle/_internal/liba.so\n" in text
    assert "License: MIT\n Copyright (c) 2020 Somebody\n .\n Do as you like.\n" in text
    assert text.endswith(
        "Files: usr/lib/chatbelle/belle-convert\n usr/lib/chatbelle/chatbelle\n"
        "Copyright: the authors of modules\n"
        "License: Apache-2.0 or BSD-3-Clause\n"
        " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n"
        " The text is in /usr/lib/chatbelle/licences/long.txt.\n"
        "Comment: modules 1.0\n"
    )


def test_purging_leaves_nothing(packages: tuple[Path, Path], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("dpkg installs for root only")
    system = tmp_path / "system"
    dpkg = system / "var" / "lib" / "dpkg"
    (dpkg / "updates").mkdir(parents=True)
    (dpkg / "info").mkdir()
    for name in ("status", "available"):
        (dpkg / name).touch()
    command = ("dpkg", f"--root={system}", "--force-depends", "--force-not-root", "--log=/dev/null")

    said(*command, "--install", packages[1])
    assert (system / "usr" / "lib" / "chatbelle" / "chatbelle").is_file()
    assert said("dpkg", f"--root={system}", "--verify", "chatbelle") == ""
    said(*command, "--purge", "chatbelle")

    assert [path for path in system.rglob("*") if "var" not in path.relative_to(system).parts] == []


def test_a_person_without_root_gets_a_menu_entry_and_loses_it_again(unpacked: Path, tmp_path: Path) -> None:
    need("desktop-file-validate")
    home = tmp_path / "家"
    home.mkdir()
    environ = {"HOME": str(home), "PATH": os.defpath, "LANG": "zh_CN.UTF-8"}

    told = said(unpacked / "install-for-me.sh", env=environ)
    entry = home / ".local" / "share" / "applications" / "chatbelle.desktop"
    said("desktop-file-validate", entry)
    tried = next(line for line in entry.read_text().splitlines() if line.startswith("TryExec="))
    assert tried == f"TryExec={str(unpacked).replace(chr(92), chr(92) * 2)}/chatbelle"
    assert told == "ChatBELLE 已加入菜单。移动文件夹后，请再运行一次。\n"
    assert (home / ".local/share/icons/hicolor/48x48/apps/chatbelle.png").is_file()

    told = said(unpacked / "install-for-me.sh", "--remove", env={**environ, "LANG": "C"})
    left = [path for path in home.rglob("*") if "belle" in path.name or "gguf" in path.name]
    assert left == []
    assert told.startswith("ChatBELLE is out of the menu.")


def test_the_menu_entry_starts_the_program_with_the_file_that_was_opened(
    unpacked: Path, tmp_path: Path
) -> None:
    need("gio")
    home, started = tmp_path / "home", tmp_path / "started"
    home.mkdir()
    folder = tmp_path / unpacked.parent.name
    shutil.copytree(unpacked, folder)
    (folder / "chatbelle").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >"{started}.part"\nmv "{started}.part" "{started}"\n'
    )
    environ = {"HOME": str(home), "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    said(folder / "install-for-me.sh", env=environ)
    entry = home / ".local" / "share" / "applications" / "chatbelle.desktop"
    model = tmp_path / "我的 模型.gguf"
    model.write_bytes(b"GGUF")

    said("gio", "launch", entry, model, env=environ)

    for _ in range(100):
        if started.exists():
            break
        subprocess.run(["sleep", "0.1"], check=True)
    assert started.read_text(encoding="utf-8").splitlines() == [str(folder / "chatbelle"), str(model)]


@pytest.mark.parametrize(
    ("arguments", "home", "code", "sentence"),
    [
        (["--help"], "writable", 2, "Run it without options, or with --remove."),
        ([], "", 1, "HOME is not set"),
        ([], "/proc/nowhere", 1, "can't be written to"),
    ],
)
def test_the_menu_script_says_what_is_wrong(
    unpacked: Path, tmp_path: Path, arguments: list[str], home: str, code: int, sentence: str
) -> None:
    home = str(tmp_path) if home == "writable" else home
    command = [unpacked / "install-for-me.sh", *arguments]
    environ = {"PATH": os.defpath, "HOME": home}
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False)

    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_tarball_is_one_folder_of_nobody_in_particular(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[0]) as archive:
        entries = archive.getmembers()

    assert {entry.name.split("/")[0] for entry in entries} == {"ChatBELLE"}
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {(0, 0, "root", "root")}
    assert {entry.mtime for entry in entries} == {find_product().epoch_s}
    programs = {entry.name for entry in entries if entry.isfile() and entry.mode == 0o755}
    assert programs == {f"ChatBELLE/{name}" for name in ("chatbelle", "belle-convert", "install-for-me.sh")}


def test_readme_tells_the_glibc_that_is_needed(bundle: Path, unpacked: Path) -> None:
    text = (unpacked / "README.txt").read_text(encoding="utf-8")

    assert f"glibc must be {read_needs(bundle).glibc} or later" in text
    assert "@" not in text


def test_a_library_that_nobody_brings_stops_the_package(bundle: Path, tmp_path: Path) -> None:
    need(*TOOLS)
    needy = tmp_path / "needy"
    shutil.copytree(bundle, needy)
    library = next(Path("/usr/lib").glob("*/libstdc++.so.6"))
    shutil.copyfile(library, needy / "_internal" / "libstdc++.so.6")

    with pytest.raises(PackagingError, match=r"libgcc_s\.so\.1 by _internal/libstdc\+\+\.so\.6"):
        build_installers(needy, tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["chatbelle", "belle-convert", "_internal", "licences"])
def test_a_folder_that_is_no_bundle_is_refused(bundle: Path, tmp_path: Path, missing: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    path = broken / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises(PackagingError, match=f"not a finished bundle: it lacks {missing}"):
        build_installers(broken, tmp_path / "out")


@pytest.mark.parametrize("text", ["nonsense", '{"name": "x"}', '[{"name": "x"}]'])
def test_a_damaged_index_of_licences_is_told(bundle: Path, tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "licences" / "index.json").write_text(text)

    with pytest.raises(PackagingError, match=r"index\.json can't be read"):
        write_copyright(broken, Path("usr"), tmp_path / "copyright", year=2026)

    assert not (tmp_path / "copyright").exists()


@pytest.mark.parametrize(
    ("version", "debian", "later"),
    [("1.2.3", "1.2.3", "1.2.4"), ("1.0rc1", "1.0~rc1", "1.0"), ("1.0.dev4", "1.0~dev4", "1.0~rc1")],
)
def test_what_precedes_a_release_sorts_before_it(version: str, debian: str, later: str) -> None:
    need("dpkg")

    assert debian_version(version) == debian
    said("dpkg", "--compare-versions", debian, "lt", later)


def test_a_machine_that_debian_does_not_know_is_told() -> None:
    with pytest.raises(PackagingError, match="no package can be made for riscv64"):
        debian_architecture("riscv64")


def test_the_floor_is_a_command_that_fails_above_what_was_asked(bundle: Path) -> None:
    need("objdump")
    command = [sys.executable, "-m", "linux.glibc_floor", str(bundle), "--at-most"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "packaging")}

    fits = subprocess.run([*command, "99.0"], env=environ, capture_output=True, encoding="utf-8")  # noqa: PLW1510
    too_new = subprocess.run([*command, "2.3"], env=environ, capture_output=True, encoding="utf-8")  # noqa: PLW1510

    assert (fits.returncode, too_new.returncode) == (0, 1)
    assert fits.stdout.startswith("glibc 2.")
    assert "at most 2.3 was asked for" in too_new.stdout
