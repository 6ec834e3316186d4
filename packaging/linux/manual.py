"""Man pages, made from what a program's own `--help` says, so that they can't say anything else."""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle.programs import program_names
from product import Product, run

PROGRAMS = program_names("linux")

_COMMAND = re.compile(r"^ {4}([a-z][a-z-]*)(?: |$)", re.MULTILINE)
_COMMANDS_TITLE = re.compile(r"^(Commands:|命令：)$", re.MULTILINE)
_NAMES = {
    ("chatbelle", "en"): "chat with a BELLE model on this machine, offline",
    ("chatbelle", "zh-CN"): "在自己的电脑上与 BELLE 模型对话，无需联网",
    ("belle-convert", "en"): "turn a BELLE checkpoint into one quantized GGUF file",
    ("belle-convert", "zh-CN"): "把 BELLE 检查点转换成一个量化的 GGUF 文件",
}


@dataclass(frozen=True, slots=True)
class _Titles:
    folder: str  # below share/man
    language: str  # as --lang takes it
    name: str
    description: str


_LANGUAGES = (
    _Titles("man1", "en", "NAME", "DESCRIPTION"),
    _Titles("zh_CN/man1", "zh-CN", "名称", "描述"),
)


def write_manual(bundle: Path, man: Path, product: Product) -> None:
    """Write the pages of both programs of `bundle` in both languages below `man` (share/man).

    Raises PackagingError when a program's help can't be had.
    """
    for program in PROGRAMS:
        for titles in _LANGUAGES:
            folder = man / titles.folder
            folder.mkdir(parents=True, exist_ok=True)
            page = "\n".join(_page(bundle / program, titles, product)) + "\n"
            packed = gzip.compress(page.encode(), compresslevel=9, mtime=0)
            (folder / f"{program}.1.gz").write_bytes(packed)


def _page(program: Path, titles: _Titles, product: Product) -> Iterator[str]:
    name, date = program.name, time.strftime("%Y-%m-%d", time.gmtime(product.epoch_s))
    yield f'.TH {name.upper()} 1 {date} "ChatBELLE {product.version}"'
    yield f".SH {titles.name}"
    yield f"{_escape(name)} \\- {_NAMES[name, titles.language]}"
    yield f".SH {titles.description}"
    for words, text in _helps(program, (), titles.language):
        if words:
            yield f'.SS "{_escape(" ".join((name, *words)))}"'
        # Help is laid out already: its columns and line breaks stay.
        yield ".EX"
        yield from map(_line, text.rstrip().splitlines())
        yield ".EE"


def _helps(program: Path, words: tuple[str, ...], language: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The help of a command and of all below it, with the words that lead to it."""
    text = _help(program, words, language)
    yield words, text
    title = _COMMANDS_TITLE.search(text)
    if title:
        for command in _COMMAND.findall(text, title.end()):
            yield from _helps(program, (*words, command), language)


def _help(program: Path, words: tuple[str, ...], language: str) -> str:
    environ = {"PATH": os.defpath, "COLUMNS": "78", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    failure = f"no manual of {' '.join((program.name, *words))}"
    return run(program, "--lang", language, *words, "--help", failure=failure, environ=environ)


def _escape(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _line(text: str) -> str:
    escaped = _escape(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
