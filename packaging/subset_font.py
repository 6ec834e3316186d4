"""Make `assets/web/fonts/NotoSansSC-Regular.ttf` from the full font: run by hand, once a font version.

    uv run --with fonttools python packaging/subset_font.py NotoSansSC_400Regular.ttf OUTPUT

The full font is in the npm package `@expo-google-fonts/noto-sans-sc` (0.4.3). Kept are all characters of GBK
(simplified and traditional, names included), Latin, Greek, Cyrillic, kana, and the symbols that answers use.
"""

from __future__ import annotations

import sys

from fontTools import subset

_RANGES = (
    (0x0020, 0x017F),  # Latin
    (0x0370, 0x045F),  # Greek, Cyrillic
    (0x2000, 0x23FF),  # punctuation, currency, letterlike, arrows, mathematics, technical
    (0x2460, 0x27BF),  # enclosed numbers, boxes, blocks, shapes, symbols, dingbats
    (0x3000, 0x30FF),  # CJK punctuation, kana
    (0xFF00, 0xFFEF),  # full-width forms
)


def gbk_characters() -> set[int]:
    """Code points of all two-byte characters of GBK."""
    found: set[int] = set()
    for high in range(0x81, 0xFF):
        for low in range(0x40, 0xFF):
            try:
                found.add(ord(bytes((high, low)).decode("gbk")))
            except UnicodeDecodeError:
                continue
    return found


def main(source: str, output: str) -> None:
    """Write the subset of `source` to `output`."""
    options = subset.Options()
    options.hinting = False
    options.layout_features = ["kern", "locl", "ccmp", "mark"]
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.notdef_outline = True
    options.drop_tables += ["vhea", "vmtx", "VORG"]
    font = subset.load_font(source, options)
    subsetter = subset.Subsetter(options)
    wanted = gbk_characters()
    for first, last in _RANGES:
        wanted.update(range(first, last + 1))
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    subset.save_font(font, output, options)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
