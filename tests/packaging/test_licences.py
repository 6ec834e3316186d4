"""Who made what in a bundle is found out, and what belongs to nobody is noticed."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the bundles in these tests have Linux's layout", allow_module_level=True)

from bundle.distribution_licences import KEPT_TEXTS, expression_of, texts_of
from bundle.index import licences_folder, read_index
from bundle.licences import Component, find_components, unlicensed, write_licences
from bundle.native_licences import TEXTS, native_components
from product import PackagingError

KNOWN = Component("library", "1.0", "MIT", ("_internal/library/*",), ())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "ChatBELLE"
    (folder / "_internal" / "library").mkdir(parents=True)
    (folder / "_internal" / "library" / "fast.so").write_bytes(b"")
    return folder


def _distribution(folder: Path, metadata: str, *texts: str) -> Distribution:
    info = folder / "library-1.0.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: library\n{metadata}\n", encoding="utf-8")
    names = [f"library-1.0.dist-info/{text}" for text in texts]
    for name in names:
        (folder / name).write_text("do as you like", encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*names, "library/LICENSE.py"]))
    return PathDistribution(info)


def test_what_a_component_covers_is_licensed(bundle: Path) -> None:
    assert unlicensed(bundle, [KNOWN]) == []


@pytest.mark.parametrize("name", ["_internal/libunknown.so.1", "_internal/other/module.so", "program"])
def test_a_file_of_nobody_is_found(bundle: Path, name: str) -> None:
    path = bundle / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")

    assert unlicensed(bundle, [KNOWN]) == [name]


def test_a_font_within_somebody_elses_folder_needs_its_own_entry(bundle: Path) -> None:
    (bundle / "_internal" / "library" / "letters.ttf").write_bytes(b"")

    assert unlicensed(bundle, [KNOWN]) == ["_internal/library/letters.ttf"]
    font = Component("letters", "1", "OFL-1.1", ("_internal/library/letters.ttf",), ())
    assert unlicensed(bundle, [KNOWN, font]) == []


def test_libraries_of_the_system_are_known_by_their_names(bundle: Path) -> None:
    names = ["libssl.so.3", "libgomp.so.1", "libsqlite3.so.0", "libpython3.11.so.1.0", "libz.so.1"]
    for name in names:
        (bundle / "_internal" / name).write_bytes(b"")

    components = find_components(bundle)

    assert unlicensed(bundle, [KNOWN, *components]) == []
    owners = {path: one.name for one in components for path in one.covers}
    assert owners["_internal/libssl.so.3"] == "OpenSSL"
    assert owners["_internal/libgomp.so.1"] == "GCC runtime libraries"


def test_a_library_that_is_built_into_the_interpreter_is_named_with_it(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle / "_internal" / "libpython3.12.so.1.0").write_bytes(b"")
    monkeypatch.setattr("sys.builtin_module_names", ("_ssl", "zlib"))

    covers = {one.name: one.covers for one in find_components(bundle)}

    assert covers["OpenSSL"] == covers["zlib"] == ("_internal/libpython3.12.so.1.0",)
    assert "SQLite" not in covers


def test_in_an_app_for_macos_nothing_lies_beside_its_contents(tmp_path: Path) -> None:
    app = tmp_path / "ChatBELLE.app"
    for name in (
        *("Info.plist", "_CodeSignature/CodeResources", "Resources/ChatBELLE.icns"),
        "Frameworks/libpython3.12.dylib",
    ):
        (app / "Contents" / name).parent.mkdir(parents=True, exist_ok=True)
        (app / "Contents" / name).write_bytes(b"")

    write_licences(app)

    assert [path.name for path in app.iterdir()] == ["Contents"]
    assert (licences_folder(app) / "index.html").is_file()
    own = read_index(app)[0]
    assert own.name == "chatbelle"
    assert "Contents/Info.plist" in own.covers


def test_every_kept_text_is_there_and_used() -> None:
    used = {text for one in native_components() for text in one.texts if text.parent == TEXTS}

    assert all(text.read_text(encoding="utf-8").strip() for text in used)
    assert {text.name for text in TEXTS.iterdir()} == {text.name for text in used} | KEPT_TEXTS


@pytest.mark.parametrize(
    ("metadata", "expression"),
    [
        ("License-Expression: BSD-3-Clause", "BSD-3-Clause"),
        ("License: Apache 2.0", "Apache-2.0"),
        ("License: something\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
    ],
)
def test_a_distributions_licence_is_put_in_known_words(
    tmp_path: Path, metadata: str, expression: str
) -> None:
    assert expression_of(_distribution(tmp_path, metadata)) == expression


def test_a_distribution_that_does_not_say_its_licence_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="library does not say"):
        expression_of(_distribution(tmp_path, "License: ask me"))


def test_texts_are_taken_from_the_metadata_and_not_from_code(tmp_path: Path) -> None:
    distribution = _distribution(tmp_path, "License: MIT", "licenses/LICENSE", "NOTICE.md", "RECORD.txt")

    assert sorted(path.name for path in texts_of(distribution)) == ["LICENSE", "NOTICE.md"]


def test_a_licence_without_its_text_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="no licence text"):
        texts_of(_distribution(tmp_path, "License: MIT"))
