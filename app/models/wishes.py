"""From what a person calls a model they do not have to what must be fetched for it.

The name of an entry (the catalog's or one's own), `owner/name`, `owner/name/file` or `owner/name/folder` on
the hub, an https address, or a path on this disk. Asks nobody.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from app.errors import TypeNotOffered
from app.models.acquire import Wish
from app.models.as_it_is import check_as_it_is
from app.models.errands import Get, Import
from app.models.importing import ImportWish
from app.models.offers import make_offer
from app.models.own_entries import find_entry
from convert.recipes import AUTO, TARGETS
from engine.models.catalog import Catalog, CatalogModel
from engine.models.errors import EntryInvalid, KeyFileNeeded, ModelNotUsable
from engine.models.machine import Machine
from engine.models.user_entries import UserEntry, parse_source

_PROMPTS = {"base": "none"}  # the converter's name for the engine's
_GGUF = ".gguf"
_WEIGHTS = (_GGUF, ".bin", ".pt", ".pth", ".ckpt", ".safetensors", ".enc")


def find_get(
    name: str,
    catalog: Catalog,
    entries: Sequence[UserEntry] = (),
    *,
    target: str | None = None,
    key: Path | None = None,
    tokenizer: Path | None = None,
    machine: Machine | None = None,
) -> Get | Import:
    """What to get for `name`; `target` is the type to get or to convert to. What is on this disk is imported.

    machine: without a `target`, the catalog's models are got as the type that suits it.

    Of a set in the catalog, the folder is named after it, as after a repository: `name/folder`. Raises
    EntryInvalid, ModelNotUsable (no program can read it), KeyFileNeeded, and NotForGguf or TypeNotOffered
    where it is known already that `target`, `key` or `tokenizer` is of no use.
    """
    model, subfolder = _find_model(name, catalog)
    if model is None:
        own = find_entry(name, entries)
        return _from_entry(own or _parse_existing(name), target, key, tokenizer)
    if not model.can_be_used:
        raise ModelNotUsable(model.name)
    if target is None and machine is not None:
        target = make_offer(model, catalog, machine).chosen.name or None
    target = _known_type(model.name, target, _offered_types(model))
    if model.form == "gguf":
        check_as_it_is(model.name, model.name, None, key, tokenizer)
    needed = next((need.name for need in model.needs if need.kind == "key"), None)
    is_question = model.is_set and not subfolder  # the answer names the folders, and takes no key
    if needed is not None and key is None and not is_question:
        raise KeyFileNeeded(model.name, needed)
    tokenizer_repo = next((need.name for need in model.needs if need.kind == "tokenizer"), None)
    wish = Wish(
        repo=model.repo,
        file=_file(model, target),
        subfolder=subfolder,
        target=_target(model, target),
        key=str(key) if key else None,
        tokenizer=str(tokenizer) if tokenizer else None,
        prompt=_PROMPTS.get(model.prompt_format, model.prompt_format),
        modelscope=model.mirrors.modelscope,
    )
    variant = _variant(model, target)
    if len(model.variants) > 1 and model.is_quantized:
        asked_for = "" if wish.target == AUTO else f"-{wish.target}"
        wish = replace(wish, output_name=f"{model.name}-{variant}{asked_for}.gguf")
    return Get(
        title=f"{model.name}/{subfolder}" if subfolder else model.name,
        source=_source(wish),
        wish=wish,
        tokenizer_repo=None if tokenizer else tokenizer_repo,
        license=model.license,
        prompt_format=model.prompt_format,
        catalog_id=model.id,
    )


def _find_model(name: str, catalog: Catalog) -> tuple[CatalogModel | None, str]:
    """The catalog's model of this name; and for one of a set, its folder."""
    model = catalog.find(name)
    if model is not None:
        return model, ""
    for one in catalog.models:
        for start in (one.repo, one.id, one.name):
            folder = name[len(start) + 1 :].strip("/")
            if one.is_set and folder and name.casefold().startswith(f"{start.casefold()}/"):
                return one, folder
    return None, ""


def _parse_existing(name: str) -> UserEntry:
    entry = parse_source(name)
    if entry.kind == "path" and not os.path.exists(entry.source):
        raise EntryInvalid(name)
    return entry


def _from_entry(
    entry: UserEntry, target: str | None, key: Path | None, tokenizer: Path | None
) -> Get | Import:
    target = _known_type(entry.name, target, (AUTO, *TARGETS))
    if entry.kind == "path":
        return Import(ImportWish(Path(entry.source), target=target or AUTO, key=key, tokenizer=tokenizer))
    if entry.kind == "address" or (entry.file or "").lower().endswith(_GGUF):
        file = entry.file or entry.source.rpartition("/")[2]
        check_as_it_is(entry.source, file, target, key, tokenizer)
    if entry.kind == "address":
        return Get(entry.name, entry.source, address=entry.source)
    is_folder = entry.file is not None and not entry.file.lower().endswith(_WEIGHTS)
    wish = Wish(
        repo=entry.repo or "",
        file=None if is_folder else entry.file,
        subfolder=entry.file or "" if is_folder else "",
        target=target,
        key=str(key) if key else None,
        tokenizer=str(tokenizer) if tokenizer else None,
    )
    if wish.file and target is None and not wish.file.lower().endswith(_GGUF):
        # One file that must be converted holds blocks of 2023 more often than not.
        stem = PurePosixPath(wish.file).stem
        wish = replace(wish, target=AUTO, output_name=f"{wish.repo.rpartition('/')[2]}-{stem}.gguf")
    return Get(entry.name, _source(wish), wish)


def _source(wish: Wish) -> str:
    """Where it comes from, for people."""
    return "/".join(part for part in (wish.repo, wish.subfolder, wish.file) if part)


def _offered_types(model: CatalogModel) -> tuple[str, ...]:
    """What can be asked for: what it can be converted to, and which of its variants."""
    variants = model.variants if _has_choice(model) else ()
    return (AUTO, *variants) if model.form == "gguf" else (AUTO, *TARGETS, *variants)


def _has_choice(model: CatalogModel) -> bool:
    """Whether one weight file is taken by its name: of several, and of the GGUF files in a repository, which
    may hold more than the catalog lists.
    """
    is_named = model.form == "gguf" and model.variants != ("",)
    return model.form != "hf" and (is_named or len(model.variants) > 1)


def _known_type(name: str, target: str | None, offered: tuple[str, ...]) -> str | None:
    """The type as it is spelled here."""
    if target is None:
        return None
    found = next((each for each in offered if each.casefold() == target.casefold()), None)
    if found is None:
        raise TypeNotOffered(name, target, offered)
    return found


def _variant(model: CatalogModel, target: str | None) -> str:
    """The variant that the type names, else the recommended one."""
    wanted = (target or "").casefold()
    return next((name for name in model.variants if name.casefold() == wanted), model.variants[0])


def _file(model: CatalogModel, target: str | None) -> str | None:
    """The one weight file to take, where the repository holds several models."""
    if not _has_choice(model):
        return None
    chosen = model.variant_files(_variant(model, target))
    return next((item.name for item in chosen if item.role == "weights"), None)


def _target(model: CatalogModel, target: str | None) -> str | None:
    """Blocks that were quantized stay as they are unless a type is asked for."""
    if target is not None and target.casefold() not in (name.casefold() for name in model.variants):
        return target
    return AUTO if model.is_quantized else None
