"""Every text of the converter exists in both languages, and every error has a sentence."""

from __future__ import annotations

import ast
import dataclasses
import errno
import os
import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import convert
from convert.errors import ConvertError, Detail, SourceMissing, TruncatedFile, UnsupportedTokenizer
from convert.i18n import LANGUAGES, Catalog, Language, share_text, size_text
from engine.errors import NativeLibraryMissing, ProcessorTooOld

CATALOG = Catalog("convert.i18n")


def leaf_errors(base: type[Exception]) -> Iterator[type[Exception]]:
    children = base.__subclasses__()
    if not children:
        yield base
    for child in children:
        yield from leaf_errors(child)


def fields_of(template: str) -> set[str]:
    return {
        name.split("[")[0].split(".")[0]
        for _, name, _, _ in string.Formatter().parse(template)
        if name is not None
    }


def sample(field: dataclasses.Field[Any]) -> Any:
    kind = str(field.type)
    if "tuple" in kind:
        return (3, 4)
    if "int" in kind:
        return 123_456_789
    return Path("模型/文件.bin") if "Path" in kind else "the thing at fault"


@pytest.mark.parametrize(
    "number",
    [errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS]
    + [errno.EIO, errno.EBUSY, errno.EEXIST, errno.ENAMETOOLONG, errno.EMFILE, errno.ETIMEDOUT]
    + [errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH, errno.EHOSTUNREACH],
)
def test_the_systems_reasons_are_chinese_in_chinese(number: int) -> None:
    for reason in (os.strerror(number), str(OSError(number, os.strerror(number)))):
        error = SourceMissing(Path("x"), reason)
        assert re.fullmatch(
            r"无法读取 x：[\u4e00-\u9fff]+。请检查路径和权限。", CATALOG.error_text(error, "zh-CN")
        )
        assert reason in CATALOG.error_text(error, "en")


def test_a_reason_that_is_not_known_is_kept() -> None:
    assert "：0x80070035。" in CATALOG.error_text(SourceMissing(Path("x"), "0x80070035"), "zh-CN")


def test_both_languages_have_the_same_texts_with_the_same_fields() -> None:
    assert CATALOG.keys("en") == CATALOG.keys("zh-CN")
    for key in CATALOG.keys("en"):
        assert fields_of(CATALOG.template(key, "en")) == fields_of(CATALOG.template(key, "zh-CN")), key


ERRORS = sorted(
    {*leaf_errors(ConvertError), NativeLibraryMissing, ProcessorTooOld}, key=lambda error: error.__name__
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_says_what_where_and_what_next(error: type[Any]) -> None:
    instance = error(**{field.name: sample(field) for field in dataclasses.fields(error)})
    for language in LANGUAGES:
        sentence = CATALOG.error_text(instance, language)
        if hasattr(instance, "path"):
            assert "文件.bin" in sentence
        # What is wrong, and what to do: at least two sentences or clauses.
        assert sum(sentence.count(mark) for mark in ".。:：;；") >= 2


def test_nobody_with_a_bundle_is_told_to_install_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    error = NativeLibraryMissing("libggml.so.0")
    sentences = [CATALOG.error_text(error, language) for language in LANGUAGES]
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert all("llama-cpp-python" in sentence for sentence in sentences)
    for language in LANGUAGES:
        sentence = CATALOG.error_text(error, language)
        assert "libggml.so.0" in sentence
        assert "ChatBELLE" in sentence
        assert "llama-cpp-python" not in sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_sizes_that_are_read_alike_are_told_in_bytes(language: Language) -> None:
    for found_bytes in (9_090_880, 9_000_000):
        alike = CATALOG.error_text(TruncatedFile(Path("a.bin"), 9_091_000, found_bytes), language)
        assert "9,091,000" in alike
        assert f"{found_bytes:,}" in alike
    apart = CATALOG.error_text(TruncatedFile(Path("a.bin"), 28_300_000_000, 12_000_000_000), language)
    assert "28.30 GB" in apart
    assert "12.00 GB" in apart


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_400, "999 kB"),
        (999_700, "1 MB"),
        (15_500_000, "15.5 MB"),
        (999_700_000, "1.00 GB"),
        (4_680_000_000, "4.68 GB"),
    ],
)
def test_sizes_are_in_decimal_units(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("done_bytes", "total_bytes", "text"),
    [
        (0, 0, "0 / 0 B"),
        (7, 999, "7 / 999 B"),
        (340_000_000, 4_680_000_000, "0.34 / 4.68 GB"),
        (900_000, 15_500_000, "0.9 / 15.5 MB"),
        (999_700_000, 999_700_000, "1.00 / 1.00 GB"),
    ],
)
def test_a_share_has_one_unit(done_bytes: int, total_bytes: int, text: str) -> None:
    assert share_text(done_bytes, total_bytes) == text
    assert " " not in share_text(done_bytes, total_bytes, joint="_")


def used_details() -> dict[str, set[str]]:
    """The keys of all `Detail`s in the converter, and where they are."""
    found: dict[str, set[str]] = {}
    for path in Path(convert.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Detail":
                key = node.args[0]
                assert isinstance(key, ast.Constant), f"{path}:{node.lineno}"
                found.setdefault(str(key.value), set()).add(f"{path.name}:{node.lineno}")
    return found


def test_every_detail_that_an_error_may_have_is_in_the_catalogs_and_no_other() -> None:
    keys = {key.removeprefix("detail.") for key in CATALOG.keys("en") if key.startswith("detail.")}
    assert used_details().keys() == keys


def test_a_detail_is_said_in_the_sentences_language_in_every_catalog() -> None:
    error = UnsupportedTokenizer(Path("x"), Detail("few_tokens", {"n": 1_300, "least": 260}))
    assert "it has 1,300 tokens, where LLaMA's has at least 260." in CATALOG.error_text(error, "en")
    for catalog, group in ((CATALOG, "error"), (Catalog("app.i18n"), "window")):
        assert "它只有 1,300 个词元，而 LLaMA 的至少有 260 个" in catalog.error_text(error, "zh-CN", group)
