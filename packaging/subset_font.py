"""Make `assets/web/fonts/NotoSansSC-Regular.ttf` from the full font: run by hand, once a font version.

    uv run --with fonttools python packaging/subset_font.py TEXT.ttf EMOJI.ttf OUTPUT

The full fonts are in the npm packages `@expo-google-fonts/noto-sans-sc` (0.4.3) and
`@expo-google-fonts/noto-emoji` (0.4.7). Kept are all characters of GBK (simplified and traditional, names
included), Latin, Greek, Cyrillic, kana, the symbols that answers use, and every emoji: the web client asks
the network for what one family lacks, so all must be in this one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools import subset
from fontTools.merge import Merger
from fontTools.ttLib import TTFont
from fontTools.ttLib.scaleUpem import scale_upem

_RANGES = (
    (0x0020, 0x017F),  # Latin
    (0x0370, 0x045F),  # Greek, Cyrillic
    (0x2000, 0x23FF),  # punctuation, currency, letterlike, arrows, mathematics, technical
    (0x2460, 0x27BF),  # enclosed numbers, boxes, blocks, shapes, symbols, dingbats
    (0x3000, 0x30FF),  # CJK punctuation, kana
    (0xFF00, 0xFFEF),  # full-width forms
)
_JOINERS = {0x200D, 0xFE0F}  # zero-width joiner, emoji presentation


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


def main(source: str, emoji: str, output: str) -> None:
    """Write the subset of `source`, with the glyphs of `emoji` that it lacks, to `output`."""
    wanted = gbk_characters()
    for first, last in _RANGES:
        wanted.update(range(first, last + 1))
    options = _options(["kern", "locl", "ccmp", "mark"])
    options.notdef_outline = True
    text = _subset(source, options, wanted)
    symbols = _subset(emoji, _options(["*"]), _characters(emoji) - set(text.getBestCmap()) | _JOINERS)
    scale_upem(symbols, text["head"].unitsPerEm)
    with TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("text.ttf", "symbols.ttf")]
        for font, path in zip((text, symbols), paths, strict=True):
            font.save(path)
        merged = Merger().merge(paths)
    for name in ("sTypoAscender", "sTypoDescender", "usWinAscent", "usWinDescent"):
        setattr(merged["OS/2"], name, getattr(text["OS/2"], name))  # lines stay as high as they were
    merged.save(output)


def _options(features: list[str]) -> subset.Options:
    options = subset.Options()
    options.hinting = False
    options.layout_features = features
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.drop_tables += ["BASE", "STAT", "VORG", "gasp", "vhea", "vmtx"]
    return options


def _subset(path: str, options: subset.Options, characters: set[int]) -> TTFont:
    font = subset.load_font(path, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    return font


def _characters(path: str) -> set[int]:
    with TTFont(path) as font:
        return set(font.getBestCmap())


if __name__ == "__main__":
    main(*sys.argv[1:])
