"""The chat template that comes with a tokenizer, and which counts where there are several.

In order, as transformers' tokenizers look (huggingface.co/docs/transformers/chat_templating):

| place                               | content                                                      |
|-------------------------------------|--------------------------------------------------------------|
| chat_template.jinja                 | the template named "default"                                 |
| additional_chat_templates/*.jinja   | those of other names, by their files' names                  |
| tokenizer_config.json               | chat_template: one, or several by name; only without files   |
| chat_template.json                  | the same key, as processors wrote it; only without all these |

Knows no prompt format and no Jinja: whether a template can be run is seen when a model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.errors import DamagedFile, Detail, InvalidFile, SeveralTemplates
from convert.sources.folder import SourceFolder, read_file
from convert.sources.json_object import MAX_JSON_BYTES, parse_json_object

FILE = "chat_template.jinja"
MORE_FILES = "additional_chat_templates"
LEGACY_FILE = "chat_template.json"
SUFFIX = ".jinja"
_CONFIG_FILE = "tokenizer_config.json"
_SETTING = "chat_template"
_DEFAULT = "default"
_MAX_BYTES = 1 << 20
_MAX_TEMPLATES = 64


@dataclass(frozen=True)
class OwnTemplate:
    """A template of the checkpoint's own. place: its file, and its name in there where that has several."""

    text: str
    place: str


@dataclass(frozen=True)
class OwnTemplates:
    """What `path`, a folder or one file in it, has: templates by name, of which "" is a single one's."""

    path: Path
    by_name: Mapping[str, OwnTemplate]

    def chosen(self) -> OwnTemplate:
        """The only one, else the one named "default"; raises `SeveralTemplates` where none is."""
        if len(self.by_name) == 1:
            return next(iter(self.by_name.values()))
        if _DEFAULT not in self.by_name:
            raise SeveralTemplates(self.path, tuple(sorted(self.by_name)))
        return self.by_name[_DEFAULT]


def read_templates(folder: SourceFolder) -> OwnTemplates | None:
    """All templates of the first place that has any, None where there is none.

    Raises `InvalidFile` for what can be no template, `DamagedFile`, and what `folder.open` raises.
    """
    files = {_DEFAULT: FILE} if FILE in folder.names else {}
    for path in sorted(folder.names_below(MORE_FILES)):
        if path.endswith(SUFFIX):
            files[path.removeprefix(f"{MORE_FILES}/").removesuffix(SUFFIX)] = path
    if len(files) > _MAX_TEMPLATES:
        raise InvalidFile(folder.path / MORE_FILES, Detail("many_templates", {"n": len(files)}))
    if files:
        found = {name: OwnTemplate(_read_text(folder, path), path) for name, path in files.items()}
        return OwnTemplates(folder.path, found)
    for name in (_CONFIG_FILE, LEGACY_FILE):
        if name in folder.names:
            place = folder.path / name
            setting = parse_json_object(place, read_file(folder, name, MAX_JSON_BYTES)).get(_SETTING)
            if setting is not None:
                return OwnTemplates(place, _by_name(place, setting))
    return None


def _by_name(path: Path, setting: Any) -> Mapping[str, OwnTemplate]:
    """A text, or texts by name as an object or as a list of pairs; of two with one name the last counts."""
    if isinstance(setting, str):
        return {"": OwnTemplate(setting, path.name)}
    pairs = list(setting.items()) if isinstance(setting, dict) else []
    if isinstance(setting, list):
        entries = [entry if isinstance(entry, dict) else {} for entry in setting]
        pairs = [(entry.get("name"), entry.get("template")) for entry in entries]
    texts = {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
    if not texts or any(name not in texts for name, _ in pairs) or len(texts) > _MAX_TEMPLATES:
        raise InvalidFile(path, Detail("no_chat_template"))
    return {name: OwnTemplate(text, f"{path.name}: {name}") for name, text in texts.items()}


def _read_text(folder: SourceFolder, name: str) -> str:
    """A text file with any system's line ends, as Python reads it."""
    data = read_file(folder, name, _MAX_BYTES)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFile(folder.path / name, Detail("not_utf8", {"place": error.start})) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
