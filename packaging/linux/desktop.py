"""What makes a desktop know the program: menu entry, icons, the type of `.gguf` files, AppStream data.

All of it lies below a `share` folder (https://specifications.freedesktop.org/basedir-spec/): /usr/share
for the .deb, and a folder of the tarball from which `install-for-me.sh` copies.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from product import APP_ID, ROOT, Product, run

HERE = Path(__file__).resolve().parent
_ICON = ROOT / "assets" / "web" / "icon.svg"
_SIZES = (16, 22, 24, 32, 48, 64, 96, 128, 256, 512)


def write_share(share: Path, product: Product) -> None:
    """Write everything below `share`, which need not exist. Raises PackagingError without rsvg-convert."""
    _copy(HERE / "chatbelle.desktop", share / "applications" / "chatbelle.desktop")
    _copy(HERE / "chatbelle-mime.xml", share / "mime" / "packages" / "chatbelle.xml")
    metainfo = share / "metainfo" / f"{APP_ID}.metainfo.xml"
    _copy(HERE / "chatbelle.metainfo.xml", metainfo)
    date = time.strftime("%Y-%m-%d", time.gmtime(product.epoch_s))
    fill(metainfo, {"VERSION": product.version, "DATE": date})
    icons = share / "icons" / "hicolor"
    _copy(_ICON, icons / "scalable" / "apps" / "chatbelle.svg")
    for size in _SIZES:
        target = icons / f"{size}x{size}" / "apps" / "chatbelle.png"
        target.parent.mkdir(parents=True)
        edges = ("--width", str(size), "--height", str(size))
        run("rsvg-convert", *edges, "--output", target, _ICON, failure="the icons can't be drawn")


def fill(path: Path, values: dict[str, str]) -> None:
    """Replace every @NAME@ in a text file."""
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)
