"""What a release is made of: its files and their checksums, bills of materials, and files with keys."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders.programs import find_program
from bundle.index import Entry, write_index
from product import PackagingError, Product
from release.assets import SYSTEMS, expected_names, write_sums
from release.sbom import write_sbom
from secret_files import is_given, secret_file

PRODUCT = Product("1.2.3", 1_700_000_000)
INDEX = [
    Entry("chatbelle", "1.2.3", "Apache-2.0", ("LICENSE.txt",), ("_internal/app/*",)),
    Entry("numpy", "2.4.6", "BSD-3-Clause AND Zlib", ("numpy.txt",), ("_internal/numpy/*",)),
    Entry("SQLite", "3.50", "blessing", ("sqlite.txt",), ("_internal/libsqlite3.so",)),
]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    for name in expected_names("1.2.3"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "ChatBELLE"
    texts = {
        "chatbelle": "program",
        "_internal/app/i18n/en.json": "{}",
        "_internal/numpy/core.so": "numpy",
        "_internal/libsqlite3.so": "sqlite",
        "licences/index.html": "",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    write_index(folder, INDEX)
    (folder / "link.so").symlink_to("_internal/libsqlite3.so")
    return folder


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text("NumPy[extra]==2.4.6 \\\n    --hash=sha256:00\n")
    return path


def bill(bundle: Path, requirements: Path, out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        write_sbom(bundle, "linux-x86_64", out, PRODUCT, requirements).read_text(encoding="utf-8")
    )
    return content


def test_the_sums_are_those_that_sha256sum_checks(release: Path) -> None:
    path = write_sums("v1.2.3", release, "1.2.3")

    sha256sum = find_program("sha256sum", "coreutils")
    done = subprocess.run([sha256sum, "--check", "--strict", path.name], cwd=release, capture_output=True)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(expected_names("1.2.3")) == 6 + len(SYSTEMS)
    assert write_sums("v1.2.3", release, "1.2.3").read_bytes() == path.read_bytes()


def test_a_release_with_a_file_missing_or_too_many_is_refused(release: Path) -> None:
    (release / "ChatBELLE-1.2.3-macos-arm64.dmg").rename(release / "ChatBELLE-1.2.2-macos-arm64.dmg")

    with pytest.raises(
        PackagingError, match=r"Missing: ChatBELLE-1\.2\.3-mac.*Unexpected: ChatBELLE-1\.2\.2"
    ):
        write_sums("v1.2.3", release, "1.2.3")

    assert not (release / "SHA256SUMS").exists()


def test_the_tag_of_another_version_is_refused(release: Path) -> None:
    with pytest.raises(PackagingError, match=r"the tag is v1\.2\.4, pyproject\.toml says 1\.2\.3"):
        write_sums("v1.2.4", release, "1.2.3")


def test_a_version_before_a_release_has_debians_own_form() -> None:
    assert "chatbelle_1.0~rc1_amd64.deb" in expected_names("1.0rc1")


def test_the_bill_names_every_part_with_version_and_licence(
    bundle: Path, requirements: Path, tmp_path: Path
) -> None:
    content = bill(bundle, requirements, tmp_path / "out")

    parts = {part["name"]: part for part in content["components"]}
    assert {*parts} == {"numpy", "SQLite"}
    assert parts["numpy"]["purl"] == "pkg:pypi/numpy@2.4.6"
    assert "purl" not in parts["SQLite"]
    assert parts["numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND Zlib"}]
    assert content["metadata"]["component"]["version"] == "1.2.3"
    assert content["metadata"]["timestamp"].startswith("2023-11-14")
    (root,) = (each for each in content["dependencies"] if each["ref"] == "chatbelle")
    assert {*root["dependsOn"]} == {"numpy@2.4.6", "SQLite@3.50"}


def test_the_bill_has_the_hash_of_every_file(bundle: Path, requirements: Path, tmp_path: Path) -> None:
    content = bill(bundle, requirements, tmp_path / "out")

    owners = [*content["components"], content["metadata"]["component"]]
    listed = {file["name"]: file["hashes"][0]["content"] for owner in owners for file in owner["components"]}
    assert listed == {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bundle.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_two_bills_of_one_bundle_are_the_same(bundle: Path, requirements: Path, tmp_path: Path) -> None:
    first = bill(bundle, requirements, tmp_path / "1")
    assert bill(bundle, requirements, tmp_path / "2") == first

    (bundle / "chatbelle").write_text("another program")

    assert bill(bundle, requirements, tmp_path / "3")["serialNumber"] != first["serialNumber"]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("[", "can't be read"),
        ('{"name": "x"}', "can't be read"),
        ('[{"name": "x"}]', "can't be read"),
        ("[]", "once"),
    ],
)
def test_a_bundle_without_its_licences_has_no_bill(
    bundle: Path, requirements: Path, tmp_path: Path, index: str, words: str
) -> None:
    (bundle / "licences" / "index.json").write_text(index)

    with pytest.raises(PackagingError, match=words):
        write_sbom(bundle, "linux-x86_64", tmp_path / "out", PRODUCT, requirements)

    assert not (tmp_path / "out").exists()


def test_a_key_in_a_variable_is_a_file_only_for_a_moment() -> None:
    environ = {"KEY_BASE64": base64.encodebytes(b"\0secret" * 50).decode()}

    assert is_given("KEY", environ)
    with secret_file("KEY", environ) as path:
        assert path is not None
        assert path.read_bytes() == b"\0secret" * 50
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.exists()


def test_a_key_that_is_a_file_already_is_used_as_it_is(tmp_path: Path) -> None:
    with secret_file("KEY", {"KEY": str(tmp_path), "KEY_BASE64": "AAAA"}) as path:
        assert path == tmp_path
    assert not is_given("KEY", {"KEY": ""})
    with secret_file("KEY", {}) as path:
        assert path is None


def test_a_key_that_is_no_base64_is_a_sentence() -> None:
    opened = secret_file("KEY", {"KEY_BASE64": "not base64!"})

    with pytest.raises(PackagingError, match="KEY_BASE64 is not Base64"):
        opened.__enter__()
