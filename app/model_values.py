"""How the models on this disk want their tokens chosen: what was published, and each file's own words.

Reads headers, and remembers what they said as long as the files stay as they are. Knows no screen.
"""

from __future__ import annotations

import logging
import threading
from functools import cache
from importlib.resources import files
from pathlib import Path

from engine.errors import ModelFileError
from engine.gguf_header import read_gguf_header
from engine.models.model_sampling import ModelSampling, read_model_sampling
from engine.models.published_sampling import PublishedSampling, parse_published
from engine.models.records import FileState, file_state
from engine.prompt import TEMPLATE
from engine.types import LoadOptions

_PUBLISHED_NAME = "sampling.json"
_log = logging.getLogger(__name__)


@cache
def load_published() -> PublishedSampling:
    """What makers published, as it is shipped. Raises CatalogInvalid and InvalidSampling."""
    return parse_published(files("assets").joinpath(_PUBLISHED_NAME).read_text(encoding="utf-8"))


class ModelValues:
    """Safe to use from any thread. A header is up to some hundred milliseconds' work, the first time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, str | None], tuple[FileState, ModelSampling]] = {}

    def of_file(self, path: Path, load: LoadOptions) -> ModelSampling:
        """Of the GGUF at `path`, loaded like that: the prompt format decides whether it is taken for BELLE.

        A file that can't be read says nothing: why, its load will tell.
        """
        state = file_state((path,))
        if state is None:
            return ModelSampling()
        prompt_format = load.prompt_format if load.chat_template is None else TEMPLATE
        key = (path, prompt_format)
        with self._lock:
            known = self._known.get(key)
        if known is not None and known[0] == state:
            return known[1]
        try:
            found = read_model_sampling(read_gguf_header(path), load_published(), prompt_format)
        except ModelFileError as error:
            _log.info("%s says nothing about sampling: %s", path, error)
            return ModelSampling()
        with self._lock:
            self._known[key] = (state, found)
        return found
