"""Sign an app for macOS from the inside out, and have a disk image notarised by Apple.

CHATBELLE_CODESIGN_IDENTITY names the certificate; without it the signature is an ad-hoc one, which Apple
silicon needs to start anything and which names nobody. CHATBELLE_NOTARY_KEY names the file of a key for App
Store Connect (or CHATBELLE_NOTARY_KEY_BASE64 holds it), with CHATBELLE_NOTARY_KEY_ID and
CHATBELLE_NOTARY_ISSUER; without them nothing is sent to Apple.
"""

from __future__ import annotations

import os
import plistlib
from collections.abc import Mapping
from pathlib import Path

from macos.machine_code import find_machine_code
from product import PackagingError, run
from secret_files import is_given, secret_file

ENTITLEMENTS = Path(__file__).with_name("entitlements.plist")
_AD_HOC = "-"
_NOTARY = ("CHATBELLE_NOTARY_KEY", "CHATBELLE_NOTARY_KEY_ID", "CHATBELLE_NOTARY_ISSUER")


def sign_app(app: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Sign every file of machine code, then frameworks, then the app, and check it. Raises PackagingError."""
    main = app / "Contents" / "MacOS" / _main_program(app)
    for code in find_machine_code(app):
        if code.path != main:  # signed with the app
            _sign(code.path, environ, is_program=code.is_program)
    for framework in sorted(app.rglob("*.framework"), key=lambda path: -len(path.parts)):
        if not framework.is_symlink():
            _sign(framework, environ, is_program=False)
    _sign(app, environ, is_program=True)
    run("codesign", "--verify", "--deep", "--strict", app, failure=f"the signature of {app.name} is not good")


def sign_image(image: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Sign a disk image, if there is a certificate. Raises PackagingError."""
    if _identity(environ) != _AD_HOC:
        _sign(image, environ, is_program=False)


def notarise(image: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Have Apple check the image and staple its answer to it; False: there is no key, nothing was sent.

    Takes minutes. Raises PackagingError, also when only a part of the key is there.
    """
    given = {name: is_given(name, environ) for name in _NOTARY}
    if not any(given.values()):
        return False
    missing = [name for name, is_there in given.items() if not is_there]
    if missing:
        raise PackagingError(f"nothing was sent to Apple: {', '.join(missing)} must be set as well")
    with secret_file(_NOTARY[0], environ) as key:
        run(
            *("xcrun", "notarytool", "submit", image, "--wait", "--timeout", "1h", "--key", str(key)),
            *("--key-id", environ[_NOTARY[1]], "--issuer", environ[_NOTARY[2]]),
            failure=f"Apple did not accept {image.name}; `xcrun notarytool log` says why",
        )
    run("xcrun", "stapler", "staple", image, failure=f"Apple's answer can't be stapled to {image.name}")
    return True


def _identity(environ: Mapping[str, str]) -> str:
    return environ.get("CHATBELLE_CODESIGN_IDENTITY") or _AD_HOC


def _sign(path: Path, environ: Mapping[str, str], *, is_program: bool) -> None:
    identity = _identity(environ)
    words: list[str | Path] = ["--force", "--sign", identity]
    if identity != _AD_HOC:
        # With an ad-hoc signature the hardened runtime would refuse the app's own libraries: it has no team.
        words += ["--timestamp", "--options", "runtime"]
        words += ["--entitlements", ENTITLEMENTS] if is_program else []
    run("codesign", *words, path, failure=f"{path} can't be signed")


def _main_program(app: Path) -> str:
    try:
        with (app / "Contents" / "Info.plist").open("rb") as file:
            return str(plistlib.load(file)["CFBundleExecutable"])
    except (OSError, KeyError, plistlib.InvalidFileException) as error:
        raise PackagingError(f"{app} is not a finished app: its Info.plist can't be read: {error}") from error
