"""The portable zip, signatures, and what is written into the programs for Windows."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Any

import pytest

from builders.programs import find_program
from product import PackagingError, Product
from windows.installers import PROGRAMS, build_installers, write_portable
from windows.resources import manifest, version_resource, version_text
from windows.signing import sign

PRODUCT = Product("1.2.3", 1_700_000_001)
SUBJECT = "ChatBELLE test"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "_internal" / "深").mkdir(parents=True)
    (folder / "licences").mkdir()
    for name in PROGRAMS:
        (folder / name).write_bytes(_small_program(tmp_path).read_bytes())
    (folder / "_internal" / "深" / "数据.json").write_text("{}" * 1000)
    return folder


def _small_program(folder: Path) -> Path:
    script, program = folder / "small.nsi", folder / "small.exe"
    if not program.exists():
        script.write_text(f'Unicode true\nTarget amd64-unicode\nOutFile "{program}"\nSection\nSectionEnd\n')
        subprocess.run([find_program("makensis", "nsis"), "-V1", script], check=True, timeout=60)
    return program


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that nobody trusts, and the settings that name it."""
    openssl = find_program("openssl", "openssl")
    key, public, both = (tmp_path / name for name in ("key.pem", "public.pem", "both.p12"))
    subject = ["-subj", f"/CN={SUBJECT}", "-addext", "extendedKeyUsage=codeSigning", "-days", "2"]
    words = ["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", key, "-out", public, *subject]
    subprocess.run([openssl, *words], check=True, capture_output=True, timeout=60)
    words = ["pkcs12", "-export", "-inkey", key, "-in", public, "-out", both, "-passout", "pass:密 word"]
    subprocess.run([openssl, *words], check=True, capture_output=True, timeout=60)
    monkeypatch.setenv("CHATBELLE_SIGN_PKCS12", str(both))
    monkeypatch.setenv("CHATBELLE_SIGN_PASSWORD", "密 word")
    return public


def verified(program: Path, certificate: Path) -> str:
    words = ["verify", "-CAfile", certificate, "-in", program]
    done = subprocess.run(
        [find_program("osslsigncode", "osslsigncode"), *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_with_a_certificate_the_programs_and_the_installer_are_signed(
    bundle: Path, certificate: Path, tmp_path: Path
) -> None:
    setup, portable = build_installers(bundle, tmp_path / "out")

    for program in (*(bundle / name for name in PROGRAMS), setup):
        assert SUBJECT in verified(program, certificate)
    with zipfile.ZipFile(portable) as archive:
        assert archive.read("ChatBELLE/ChatBELLE.exe") == (bundle / "ChatBELLE.exe").read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {setup.name, portable.name}


def test_a_wrong_password_is_a_sentence_and_leaves_the_program(
    bundle: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATBELLE_SIGN_PASSWORD", "wrong")
    before = (bundle / "ChatBELLE.exe").read_bytes()

    with pytest.raises(PackagingError, match="check CHATBELLE_SIGN_PKCS12 and CHATBELLE_SIGN_PASSWORD"):
        sign(bundle / "ChatBELLE.exe")

    assert (bundle / "ChatBELLE.exe").read_bytes() == before
    assert not [path for path in bundle.iterdir() if path.name.startswith(".")]


def test_the_password_is_not_on_the_command_line(
    bundle: Path, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = find_program("osslsigncode", "osslsigncode"), tmp_path / "bin" / "osslsigncode"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{tmp_path}/words"\nexec {real} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    sign(bundle / "ChatBELLE.exe")

    assert "sign" in (tmp_path / "words").read_text()
    assert "密 word" not in (tmp_path / "words").read_text()


def test_the_portable_zip_has_the_bundle_and_the_marker(bundle: Path, tmp_path: Path) -> None:
    path = write_portable(bundle, tmp_path / "portable.zip", PRODUCT)

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert archive.read("ChatBELLE/_internal/深/数据.json") == b"{}" * 1000
        assert "便携版" in archive.read("ChatBELLE/portable").decode()
    assert {*names} == {f"ChatBELLE/{name}" for name in (*PROGRAMS, "_internal/深/数据.json", "portable")}
    assert not (bundle / "portable").exists()


def test_two_builds_give_the_same_zip(bundle: Path, tmp_path: Path) -> None:
    first = write_portable(bundle, tmp_path / "1.zip", PRODUCT).read_bytes()
    for path in bundle.rglob("*"):
        path.touch()

    assert write_portable(bundle, tmp_path / "2.zip", PRODUCT).read_bytes() == first


class _Parts:
    """The classes that PyInstaller evaluates the file with, which it only has on Windows."""

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **named: (name, *values, *sorted(named.items()))


def test_every_program_has_its_version_in_both_languages() -> None:
    names = ("VSVersionInfo", "FixedFileInfo", "StringFileInfo", "StringTable", "StringStruct")
    parts = {name: getattr(_Parts(), name) for name in (*names, "VarFileInfo", "VarStruct")}
    for program in PROGRAMS:
        made = eval(version_text(program, PRODUCT), parts)

        _, (_, fixed), (_, (strings, variable)) = made
        assert fixed == ("FixedFileInfo", ("filevers", (1, 2, 3, 0)), ("prodvers", (1, 2, 3, 0)))
        tables = {table[1]: {key: value for _, key, value in table[2]} for table in strings[1]}
        assert {*tables} == {"040904b0", "080404b0"}
        assert all(table["OriginalFilename"] == program for table in tables.values())
        assert all(table["ProductVersion"] == "1.2.3" for table in tables.values())
        assert tables["040904b0"]["FileDescription"] != tables["080404b0"]["FileDescription"]
        assert variable[1] == [("VarStruct", "Translation", [0x409, 1200, 0x804, 1200])]


def test_the_terminal_program_has_its_version_under_the_name_it_is_built_with() -> None:
    assert "chatbelle.com'" in version_resource("chatbelle.com.exe").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "numbers"), [("0.1.0", (0, 1, 0, 0)), ("1.2rc1", (1, 2, 0, 0)), ("3", (3, 0, 0, 0))]
)
def test_windows_gets_four_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert Product(version, 0).numbers == numbers


def test_the_manifest_asks_for_utf_8_long_paths_and_no_administrator() -> None:
    tree = ElementTree.fromstring(manifest())
    values = {element.tag.rpartition("}")[2]: element for element in tree.iter()}

    assert values["activeCodePage"].text == "UTF-8"
    assert values["longPathAware"].text == "true"
    assert values["dpiAwareness"].text == "PerMonitorV2"
    assert values["requestedExecutionLevel"].attrib == {"level": "asInvoker", "uiAccess": "false"}
