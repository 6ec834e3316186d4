"""What there is to open at a path, before it is known what it is.

Knows folders, the file that was named in one, and what else was given with them: a tokenizer, adapters. Which
form a checkpoint has is told by `convert.detect`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from convert.adapted import AdaptedModel, ReadTokenizer
from convert.chat_templates import OwnTemplates, read_templates
from convert.errors import AlreadyGguf
from convert.notes import Note
from convert.sources.byte_source import ByteSource, FileSource
from convert.sources.folder import LocalFolder, SourceFolder, plain_file_name
from convert.sources.ggml_file import HEAD_BYTES
from convert.sources.lora import LoraAdapter
from convert.sources.xor import parse_encrypted_name
from convert.vocab import TokenizerFiles

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Found:
    """What there is to open, before it is known what it is.

    path: as it was given. is_on_disk: else the paths are names only, whatever this disk has there.
    """

    path: Path
    folder: SourceFolder
    only_file: Path | None
    tokenizer: Path | None
    adapters: Sequence[LoraAdapter]
    opened: ExitStack
    is_on_disk: bool

    def choose_tokenizer(
        self, model: AdaptedModel, read_base: Callable[[], ReadTokenizer]
    ) -> tuple[ReadTokenizer, tuple[Note, ...]]:
        """The one that was given, else the model's or an adapter's, and what to say of the choice."""
        return model.choose_tokenizer(read_base) if self.tokenizer is None else (read_base(), ())

    def tokenizer_files(self) -> TokenizerFiles:
        """The one that was given, else what lies beside the weights."""
        if self.tokenizer is not None:
            return TokenizerFiles.from_path(self.tokenizer)
        return TokenizerFiles.from_folder(self.folder)

    def own_templates(self, *, has_own: bool = True) -> OwnTemplates | None:
        """Those beside the tokenizer that was given, else an adapter's, else those beside the weights.

        has_own: whether models of this form come with any.
        """
        given = [] if self.tokenizer is None else [LocalFolder(folder_of(self.tokenizer))]
        adapters = [adapter.folder for adapter in reversed(self.adapters)]
        folders: list[SourceFolder] = [*given, *adapters, *([self.folder] if has_own else [])]
        return next((found for found in map(read_templates, folders) if found is not None), None)

    def read_head(self) -> bytes:
        """The first bytes of the file that was named, on the disk or, under its plain name, encrypted there.

        Empty where none was named. Raises `AlreadyGguf`.
        """
        file, folder = self.only_file, self.folder
        if file is None:
            return b""
        if self.is_on_disk and (os.path.isfile(file) or file.name not in folder.names):
            source: ByteSource = FileSource(file)
        else:
            encrypted = parse_encrypted_name(file.name)
            is_decrypted = encrypted is not None and encrypted.plain_name in folder.names
            source = folder.open(encrypted.plain_name if encrypted and is_decrypted else file.name)
        try:
            head = source.read_at(0, min(HEAD_BYTES, source.size_bytes))
        finally:
            source.close()
        if head[:4] == b"GGUF":
            raise AlreadyGguf(file)
        return head


def locate(path: Path | SourceFolder, file: str | None) -> tuple[Path | SourceFolder, Path | None]:
    """The checkpoint's folder, and the weight file where one was named."""
    if not isinstance(path, Path):
        return path, None if file is None else path.path / plain_file_name(path.path, file)
    folder = folder_of(path)
    if file is not None:
        return folder, folder / plain_file_name(folder, file)
    if os.path.isdir(path) or path.name == CONFIG_FILE:
        return folder, None
    return folder, path


def folder_of(path: Path) -> Path:
    """The path itself, or the folder of the file that it is."""
    return path if os.path.isdir(path) else path.parent
