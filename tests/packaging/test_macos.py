"""The app for macOS: what it says of itself, and how it is signed, with stand-ins for Apple's programs."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from builders.mach_o import machine_code, universal, write_app
from macos.info import LANGUAGES, MINIMUM_SYSTEM, info_plist, type_names
from macos.installers import build_installers, image_settings
from macos.keychain import certificate_at_hand
from macos.machine_code import find_machine_code, require_runs_on
from macos.sign import ENTITLEMENTS, notarise, sign_app, sign_image
from product import PackagingError

IDENTITY = "Developer ID Application: Nobody (TEAM)"
NOTARY = {
    "CHATBELLE_NOTARY_KEY": "/key.p8",
    "CHATBELLE_NOTARY_KEY_ID": "ID",
    "CHATBELLE_NOTARY_ISSUER": "ISSUER",
}
_KEEP_WORDS = """#!/bin/sh
{{ printf '%s' "$(basename "$0")"; printf '\\t%s' "$@"; printf '\\n'; }} >> {log}
case "$(basename "$0") $*" in {case}) {action};; esac
"""


class Apple:
    """Programs that only note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._log = folder, folder / "log"
        folder.mkdir()
        self._log.touch()
        for name in ("codesign", "xcrun", "security"):
            self.answer(name, "-", "true")

    def answer(self, name: str, case: str, action: str) -> None:
        """What a program does when its words are like `case`, a shell's pattern."""
        path = self.folder / name
        path.write_text(_KEEP_WORDS.format(log=self._log, case=case, action=action))
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The words of each call, the program's name first."""
        return [line.split("\t") for line in self._log.read_text().splitlines()]


@pytest.fixture
def apple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apple:
    made = Apple(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


def test_info_plist_says_what_the_app_is() -> None:
    values = plistlib.loads(plistlib.dumps(info_plist()))

    assert values["CFBundleLocalizations"] == ["en", "zh-Hans"]
    assert values["CFBundleShortVersionString"].count(".") == 2
    assert values["LSMinimumSystemVersion"] == MINIMUM_SYSTEM
    assert values["NSHighResolutionCapable"] is True
    assert (values["CFBundleExecutable"], values["LSBackgroundOnly"]) == ("ChatBELLE", False)
    declared = {kind["UTTypeIdentifier"] for kind in values["UTImportedTypeDeclarations"]}
    opened = {name for kind in values["CFBundleDocumentTypes"] for name in kind["LSItemContentTypes"]}
    assert opened == declared | {"public.folder"}
    assert all(kind["LSHandlerRank"] == "Alternate" for kind in values["CFBundleDocumentTypes"])
    assert not [key for key in values if key.endswith("UsageDescription")]


def test_the_file_types_have_a_name_in_every_language() -> None:
    names = {kind["CFBundleTypeName"] for kind in info_plist()["CFBundleDocumentTypes"]}
    for language in LANGUAGES:
        english, _, translated = type_names(language).partition(" = ")
        assert english.strip('"') in names
        assert translated.endswith('";\n')
    assert "模型" in type_names("zh-Hans")


def test_the_app_has_one_exception_from_the_hardened_runtime() -> None:
    assert plistlib.loads(ENTITLEMENTS.read_bytes()) == {
        "com.apple.security.cs.allow-unsigned-executable-memory": True
    }


def test_all_machine_code_is_found_deepest_first(tmp_path: Path) -> None:
    app = write_app(tmp_path)

    found = find_machine_code(app)

    names = [code.path.relative_to(app / "Contents").as_posix() for code in found]
    assert {*names} == {
        *("MacOS/ChatBELLE", "MacOS/chatbelle-terminal", "MacOS/belle-convert"),
        *("Frameworks/libpython3.12.dylib", "Frameworks/numpy/_core.cpython-312-darwin.so"),
        *("Frameworks/llama_cpp/lib/libllama.dylib", "Frameworks/Python.framework/Versions/3.12/Python"),
    }
    depths = [name.count("/") for name in names]
    assert depths == sorted(depths, reverse=True)
    assert {code.path.name for code in found if code.is_program} == {
        *("ChatBELLE", "chatbelle-terminal", "belle-convert")
    }


def test_a_universal_file_is_for_both_processors(tmp_path: Path) -> None:
    app = write_app(tmp_path)
    both = universal(("x86_64", machine_code("x86_64", (10, 13))), ("arm64", machine_code("arm64", (12, 0))))
    (app / "Contents" / "Frameworks" / "both.dylib").write_bytes(both)

    (found,) = (code for code in find_machine_code(app) if code.path.name == "both.dylib")

    assert found.processors == {"x86_64", "ARM64"}
    assert found.minimum_system == (12, 0)
    require_runs_on(app, "13.3", "arm64")


def test_code_for_a_newer_system_is_refused(tmp_path: Path) -> None:
    app = write_app(tmp_path)

    with pytest.raises(PackagingError, match=r"libllama\.dylib needs macOS 13\.3, the app promises 13\.0"):
        require_runs_on(app, "13.0", "arm64")


def test_code_for_another_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="is for ARM64, not for x86_64"):
        require_runs_on(write_app(tmp_path), MINIMUM_SYSTEM, "x86_64")


def test_damaged_code_is_named(tmp_path: Path) -> None:
    app = write_app(tmp_path)
    path = app / "Contents" / "Frameworks" / "cut.dylib"
    path.write_bytes(machine_code("arm64")[:20])

    with pytest.raises(PackagingError, match=r"cut\.dylib begins like machine code"):
        find_machine_code(app)


def test_with_a_certificate_everything_is_signed_from_the_inside_out(tmp_path: Path, apple: Apple) -> None:
    app = write_app(tmp_path)

    sign_app(app, {"CHATBELLE_CODESIGN_IDENTITY": IDENTITY})

    *signed, check = apple.calls
    assert check[1] == "--verify"
    paths = [Path(words[-1]).relative_to(tmp_path).as_posix() for words in signed]
    inside = "ChatBELLE.app/Contents/"
    assert paths[-2:] == [f"{inside}Frameworks/Python.framework", "ChatBELLE.app"]
    assert f"{inside}MacOS/ChatBELLE" not in paths
    assert len(paths) == len({*paths}) == 8
    for words in signed:
        is_program = words[-1].endswith(("chatbelle-terminal", "belle-convert", ".app"))
        assert words[1:8] == ["--force", "--sign", IDENTITY, "--timestamp", "--options", "runtime", words[7]]
        assert ("--entitlements" in words) == is_program


def test_without_a_certificate_the_signature_names_nobody(tmp_path: Path, apple: Apple) -> None:
    app = write_app(tmp_path)

    sign_app(app, {})
    sign_image(tmp_path / "image.dmg", {})

    assert all(words[1:4] == ["--force", "--sign", "-"] and len(words) == 5 for words in apple.calls[:-1])
    assert not any(words[-1].endswith(".dmg") for words in apple.calls)


def test_what_codesign_refuses_is_a_sentence(tmp_path: Path, apple: Apple) -> None:
    apple.answer("codesign", "*libllama*", "echo no identity found >&2; exit 1")

    with pytest.raises(PackagingError, match=r"libllama\.dylib can't be signed: no identity found"):
        sign_app(write_app(tmp_path), {})


def test_an_image_is_sent_to_apple_only_with_a_whole_key(tmp_path: Path, apple: Apple) -> None:
    image = tmp_path / "image.dmg"

    assert not notarise(image, {})
    with pytest.raises(PackagingError, match="CHATBELLE_NOTARY_KEY_ID, CHATBELLE_NOTARY_ISSUER must be set"):
        notarise(image, {"CHATBELLE_NOTARY_KEY": "/key.p8"})
    assert apple.calls == []

    assert notarise(image, NOTARY)
    submit, staple = apple.calls
    assert submit[:4] == ["xcrun", "notarytool", "submit", str(image)]
    assert "--wait" in submit
    assert staple == ["xcrun", "stapler", "staple", str(image)]


def test_a_certificate_from_a_file_is_gone_after_the_build(apple: Apple) -> None:
    apple.answer("security", "*'list-keychains -d user'", "echo '    \"/Users/me/login keychain-db\"'")
    environ = {"CHATBELLE_CODESIGN_PKCS12": "/cert.p12", "CHATBELLE_CODESIGN_PASSWORD": "secret"}

    inside = []

    def build() -> None:
        with certificate_at_hand(environ):
            inside.extend(apple.calls)
            raise RuntimeError("the build fails")

    with pytest.raises(RuntimeError, match="the build fails"):
        build()

    after = apple.calls[len(inside) :]
    assert ["import", "/cert.p12"] in [words[1:3] for words in inside]
    keychain = inside[-1][5]
    assert inside[-1][1:] == ["list-keychains", "-d", "user", "-s", keychain, "/Users/me/login keychain-db"]
    assert after == [
        ["security", "list-keychains", "-d", "user", "-s", "/Users/me/login keychain-db"],
        ["security", "delete-keychain", keychain],
    ]


def test_without_a_file_no_keychain_is_touched(apple: Apple) -> None:
    with certificate_at_hand({}):
        pass

    assert apple.calls == []


def test_the_image_shows_the_app_beside_the_folder_to_drag_it_to(tmp_path: Path) -> None:
    settings = image_settings(tmp_path / "ChatBELLE.app")

    assert settings["symlinks"] == {"Applications": "/Applications"}
    assert {*settings["icon_locations"]} == {"ChatBELLE.app", "Applications"}
    assert Path(settings["icon"]).read_bytes()[:4] == b"icns"


def test_an_unfinished_app_is_refused(tmp_path: Path) -> None:
    app = write_app(tmp_path)
    (app / "Contents" / "MacOS" / "belle-convert").unlink()

    with pytest.raises(PackagingError, match="it lacks belle-convert"):
        build_installers(app, tmp_path / "out")

    assert not (tmp_path / "out").exists()
