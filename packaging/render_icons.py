"""Make the PNG icons from assets/web/icon.svg with a headless Chromium, through Playwright.

    python packaging/render_icons.py

Maskable icons have their own background and keep the drawing within the inner 80 %, as the web manifest's
specification asks (https://www.w3.org/TR/appmanifest/#icon-masks).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_WEB = Path(__file__).resolve().parents[1] / "assets" / "web"
_ICONS = _WEB / "icons"
_BACKGROUND = "#E6F2F0"
_PLAIN = {_WEB / "favicon.png": 32, _ICONS / "icon-192.png": 192, _ICONS / "icon-512.png": 512}
_MASKABLE = {
    _ICONS / "icon-maskable-192.png": 192,
    _ICONS / "icon-maskable-512.png": 512,
    _ICONS / "apple-touch-icon-192.png": 192,
}


def _render(page: Page, svg: str, path: Path, size: int, *, maskable: bool) -> None:
    scale, background = (0.66, _BACKGROUND) if maskable else (1.0, "transparent")
    page.set_viewport_size({"width": size, "height": size})
    page.set_content(
        f"<style>html,body{{margin:0;background:{background}}}body{{display:flex;height:100vh;"
        f"align-items:center;justify-content:center}}svg{{width:{scale:%};height:{scale:%}}}</style>{svg}"
    )
    page.screenshot(path=path, omit_background=True)


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
                _render(page, svg, path, size, maskable=maskable)
        browser.close()


if __name__ == "__main__":
    main()
