"""What is opened with the app: from files and folders to sources, and a conversion of its own for each.

Knows no screen. `sources_of` and `ready_wish` wait for the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.models.conversion import Draft
from app.models.import_look import look_at_import
from app.models.importing import ImportWish, is_gguf
from app.models.inspection import GgufFacts, Given
from app.models.result_name import free_name, names_to_come
from app.models.service import ModelService
from convert.sources.lora import ADAPTER_FILES
from convert.sources.xor import parse_encrypted_name
from engine.models.places import find_parts, normal_path

# What is of no use without the other files of its folder.
_PART_OF_FOLDER = re.compile(
    r".+-\d{5}-of-\d{5}\.[a-z]+|consolidated\.\d\d\.pth|params\.json|tokenizer\.(json|model)|"
    r"(.+_)?config\.json|special_tokens_map\.json|.+\.index\.json",
    re.IGNORECASE,
)
_PART_OF_GGML = re.compile(r"(?P<first>.+\.bin)\.\d+", re.IGNORECASE)


def sources_of(paths: Iterable[Path]) -> tuple[Path, ...]:
    """What to look at: every model once, whether one of its files was opened, all of them, or its folder."""
    found = tuple(dict.fromkeys(_source(normal_path(path)) for path in paths))
    folders = {path for path in found if os.path.isdir(path)}
    return tuple(path for path in found if path.parent not in folders or not _is_of_checkpoint(path))


def _source(path: Path) -> Path:
    if not os.path.isfile(path):
        return path
    if is_gguf(path):
        return find_parts(path).path
    name = path.name
    if parse_encrypted_name(name) is not None or name in ADAPTER_FILES or _PART_OF_FOLDER.fullmatch(name):
        return path.parent
    ggml = _PART_OF_GGML.fullmatch(name)
    first = path.with_name(ggml["first"]) if ggml is not None else path
    return first if os.path.isfile(first) else path


def _is_of_checkpoint(path: Path) -> bool:
    """Whether the folder speaks for it; a GGUF is a model by itself."""
    return os.path.isfile(path) and not is_gguf(path)


@dataclass(slots=True, eq=False)
class Drafts:
    """The conversions that are being put together, and the one that is to be seen. Never empty."""

    current: Draft = field(default_factory=Draft)
    all: list[Draft] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.all = self.all or [self.current]

    @property
    def are_several(self) -> bool:
        """Whether there is more than one source."""
        return len(self.all) > 1

    def open(self, sources: Sequence[Path], is_over: Callable[[Draft], bool]) -> None:
        """See the first of `sources`; all of them, and what was begun before and `is_over` denies, stay."""
        kept = [draft for draft in self.all if draft.path is not None and not is_over(draft)]
        known = {draft.path for draft in kept}
        kept += [Draft(Given(source)) for source in dict.fromkeys(sources) if source not in known]
        self.all = kept or [Draft()]
        self.current = next((draft for draft in kept if draft.path in sources[:1]), self.all[0])

    def replace(self, draft: Draft) -> None:
        """See `draft` in the place of the current one."""
        self.all = [draft if each is self.current else each for each in self.all]
        self.current = draft

    def remove(self, draft: Draft) -> None:
        """Take it off; nothing that was begun with it ends."""
        self.all = [each for each in self.all if each is not draft] or [Draft()]
        if draft is self.current:
            self.current = self.all[0]


def ready_wish(draft: Draft, models: ModelService) -> ImportWish | None:
    """What to begin for `draft` when nobody says more; None where more is needed, or the model is here."""
    if isinstance(draft.facts, GgufFacts):
        look = look_at_import(draft.facts.path, models.library)
        if look.is_known or look.problem is not None:
            return None
        draft.how = look.possible(draft.how)
    name = draft.name or draft.suggested_name
    return draft.wish(free_name(name, models.library.folder, names_to_come(models.jobs.all)))
