"""The temporary folder, and the files that come with the program: texts, catalog, personas and fonts."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from app.i18n import catalog
from app.models.finding import load_catalog
from app.self_test.bench import Bench
from app.self_test.font_file import FontDamaged, drawn_codes
from app.self_test.steps import CheckFailed
from convert.i18n import LANGUAGES

NEEDED_BYTES = 64_000_000
"""Of the temporary folder: two small models, a history, and what the page's server writes."""

_PROBE_BYTES = 1 << 20
_CHINESE = "CJK"
_SAMPLES = ("personas.json", "sampling.json")


def check_temporary(bench: Bench) -> str:
    """A file is written and read back."""
    if bench.folder is None:
        try:
            tempfile.gettempdir()
        except OSError as error:
            raise CheckFailed(bench.t("temporary.none", reason=error.strerror or str(error))) from error
        raise CheckFailed(bench.t("temporary.unwritable", path=tempfile.gettempdir()))
    free_bytes = shutil.disk_usage(bench.folder).free
    place = bench.folder.parent
    if free_bytes < NEEDED_BYTES:
        values = {"path": place, "free": free_bytes, "needed": NEEDED_BYTES}
        raise CheckFailed(bench.t("temporary.full", **values))
    probe, data = bench.folder / "试 probe", os.urandom(_PROBE_BYTES)
    try:
        probe.write_bytes(data)
        is_same = probe.read_bytes() == data
        probe.unlink()
    except OSError as error:
        raise CheckFailed(bench.t("temporary.none", reason=error.strerror or str(error))) from error
    if not is_same:
        raise CheckFailed(bench.t("temporary.changed", path=place))
    return bench.t("temporary.ok", free=free_bytes)


def check_assets(bench: Bench) -> str:
    """The texts of both languages, the catalog of models, personas and published sampling can be read."""
    keys = {language: catalog().keys(language) for language in LANGUAGES}
    differing = set.symmetric_difference(*map(set, keys.values()))
    if differing:
        raise CheckFailed(bench.t("assets.texts", name=min(differing)))
    for name in _SAMPLES:
        _read_json(bench, files("assets").joinpath(name))
    try:
        n_models = len(load_catalog().models)
    except OSError as error:
        raise CheckFailed(bench.t("missing", name="catalog.json")) from error
    return bench.t("assets.ok", n_texts=len(keys["en"]), n_models=n_models)


def check_fonts(bench: Bench) -> str:
    """The Chinese font draws every character that the program itself writes."""
    web = files("assets").joinpath("web")
    manifest = _read_json(bench, web.joinpath("assets").joinpath("FontManifest.json"))
    named = [font["asset"] for family in manifest if family["family"] == _CHINESE for font in family["fonts"]]
    if not named:
        raise CheckFailed(bench.t("missing", name=f"FontManifest.json: {_CHINESE}"))
    codes: set[int] = set()
    for asset in named:
        codes |= _codes_of(bench, web, asset)
    lacking = sorted(character for character in _written() if ord(character) not in codes)
    if lacking:
        raise CheckFailed(bench.t("fonts.lacking", n=len(lacking), examples="".join(lacking[:10])))
    return bench.t("fonts.ok", name=named[0].rpartition("/")[2], n=len(codes))


def _codes_of(bench: Bench, web: Traversable, asset: str) -> set[int]:
    """asset: as the manifest names it, from the folder `assets` of the page."""
    name = asset.removeprefix("../")
    try:
        return drawn_codes(web.joinpath(name).read_bytes())
    except OSError as error:
        raise CheckFailed(bench.t("missing", name=name)) from error
    except FontDamaged as error:
        raise CheckFailed(bench.t("fonts.damaged", name=name, detail=str(error))) from error


def _written() -> set[str]:
    texts = catalog()
    everything = "".join(texts.template(key, "zh-CN") for key in texts.keys("zh-CN"))
    return {character for character in everything if not character.isspace()}


def _read_json(bench: Bench, file: Traversable) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckFailed(bench.t("missing", name=file.name)) from error
    except ValueError as error:
        raise CheckFailed(bench.t("damaged", name=file.name, detail=str(error))) from error
