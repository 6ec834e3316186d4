"""From an app to what is handed out on macOS: a disk image to drag it from. Runs on macOS only.

PYTHONPATH=packaging python -m macos.installers ChatBELLE.app OUT
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from bundle.programs import program_names
from installer_command import make_packages
from macos.info import LANGUAGES, MINIMUM_SYSTEM, type_names
from macos.keychain import certificate_at_hand
from macos.machine_code import require_runs_on
from macos.sign import notarise, sign_app, sign_image
from product import NAME, PackagingError, find_product

_MACHINES = {"arm64": "arm64", "x86_64": "x64"}
_ICON = Path(__file__).with_name("ChatBELLE.icns")


def build_installers(bundle: Path, out: Path) -> list[Path]:
    """Sign the app at `bundle` in place, write its disk image into `out` and return that path.

    The image is for the processor of this machine. Raises PackagingError.
    """
    missing = [
        name for name in program_names("darwin") if not (bundle / "Contents" / "MacOS" / name).is_file()
    ]
    if missing:
        raise PackagingError(f"{bundle} is not a finished app: it lacks {', '.join(missing)}")
    image = out / f"{NAME}-{find_product().version}-macos-{_MACHINES[platform.machine()]}.dmg"
    require_runs_on(bundle, MINIMUM_SYSTEM, platform.machine())
    for language in LANGUAGES:
        folder = bundle / "Contents" / "Resources" / f"{language}.lproj"
        folder.mkdir(exist_ok=True)
        (folder / "InfoPlist.strings").write_text(type_names(language), encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    with certificate_at_hand():
        sign_app(bundle)
        _write_image(bundle, image)
        sign_image(image)
    notarise(image)
    return [image]


def image_settings(app: Path) -> dict[str, Any]:
    """What dmgbuild is told: a window with the app and, to its right, the folder to drag it to."""
    return {
        "format": "ULMO",  # LZMA, which macOS reads since 10.15
        "files": [str(app)],
        "symlinks": {"Applications": "/Applications"},
        "icon": str(_ICON),
        "icon_locations": {app.name: (140, 150), "Applications": (400, 150)},
        "window_rect": ((200, 200), (540, 330)),
        "icon_size": 96,
        "text_size": 13,
        "show_toolbar": False,
        "show_sidebar": False,
        "default_view": "icon-view",
    }


def _write_image(app: Path, image: Path) -> None:
    from dmgbuild.core import DMGError, build_dmg

    try:
        build_dmg(str(image), NAME, settings=image_settings(app))
    except DMGError as error:
        raise PackagingError(f"{image.name} can't be made: {error}") from error


if __name__ == "__main__":
    sys.exit(make_packages("Sign an app and make its disk image.", build_installers))
