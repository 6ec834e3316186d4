"""Make every icon from assets/web/icon.svg with a headless Chromium, through Playwright.

    uv run --group icons python packaging/render_icons.py

Maskable icons have their own background and keep the drawing within the inner 80 %, as the web manifest's
specification asks (https://www.w3.org/TR/appmanifest/#icon-masks). The icons of Windows and macOS hold the
drawing once for every size that those systems show, so that none of them is scaled.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import icnsutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

_ROOT = Path(__file__).resolve().parents[1]
_WEB = _ROOT / "assets" / "web"
_ICONS = _WEB / "icons"
_BACKGROUND = "#E6F2F0"
_PLAIN = {
    _WEB / "favicon.png": 32,
    _ICONS / "icon-192.png": 192,
    _ICONS / "icon-512.png": 512,
    _ROOT / "packaging" / "phones" / "icon.png": 1024,  # from which Flet makes all that phones need
}
_MASKABLE = {
    _ICONS / "icon-maskable-192.png": 192,
    _ICONS / "icon-maskable-512.png": 512,
    _ICONS / "apple-touch-icon-192.png": 192,
}

_ICO = _ROOT / "packaging" / "windows" / "ChatBELLE.ico"
_ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 96, 128, 256)

_SIDE = _ROOT / "packaging" / "windows" / "side.bmp"
_SIDE_SIZE = (164, 314)
"""What NSIS has room for beside its last page."""

_ICNS = _ROOT / "packaging" / "macos" / "ChatBELLE.icns"
_ICNS_TYPES = {
    "ic07": 128,
    "ic08": 256,
    "ic09": 512,
    "ic10": 1024,  # 512 at two pixels a point, and so on
    "ic11": 32,
    "ic12": 64,
    "ic13": 256,
    "ic14": 512,
    "icp4": 16,
    "icp5": 32,
}


def _render(page: Page, svg: str, size: int, *, maskable: bool = False) -> bytes:
    scale, background = (0.66, _BACKGROUND) if maskable else (1.0, "transparent")
    page.set_viewport_size({"width": size, "height": size})
    page.set_content(
        f"<style>html,body{{margin:0;background:{background}}}body{{display:flex;height:100vh;"
        f"align-items:center;justify-content:center}}svg{{width:{scale:%};height:{scale:%}}}</style>{svg}"
    )
    return page.screenshot(omit_background=True)


def _write_ico(images: list[bytes]) -> None:
    opened = [Image.open(io.BytesIO(data)) for data in images]
    largest = opened[-1]
    largest.save(_ICO, sizes=[image.size for image in opened], append_images=opened[:-1])


def _write_side(icon: bytes) -> None:
    side = Image.new("RGB", _SIDE_SIZE, _BACKGROUND)
    drawing = Image.open(io.BytesIO(icon))
    side.paste(drawing, ((side.width - drawing.width) // 2, (side.height - drawing.height) // 3), drawing)
    side.quantize(64).save(_SIDE)


def _write_icns(images: dict[str, bytes]) -> None:
    icon = icnsutil.IcnsFile()
    for kind, data in images.items():
        icon.add_media(kind, data=data)
    icon.write(_ICNS, toc=False)


def main() -> None:
    """Render every icon."""
    svg = (_WEB / "icon.svg").read_text(encoding="utf-8")
    _ICONS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        for sizes, maskable in ((_PLAIN, False), (_MASKABLE, True)):
            for path, size in sizes.items():
                path.write_bytes(_render(page, svg, size, maskable=maskable))
        _write_ico([_render(page, svg, size) for size in _ICO_SIZES])
        _write_side(_render(page, svg, 112))
        _write_icns({kind: _render(page, svg, size) for kind, size in _ICNS_TYPES.items()})
        browser.close()


if __name__ == "__main__":
    main()
