"""What the subcommands' options share: checked numbers, the model options, help in wide characters."""

from __future__ import annotations

import argparse
import math
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from app.prompt_choice import with_prompt_format
from convert.i18n.arguments import LocalizedParser
from engine.partial_sampling import NO_LIMIT, PartialSampling
from engine.prompt import PROMPT_FORMATS
from engine.types import LoadOptions


def add_command(
    commands: argparse._SubParsersAction[LocalizedParser],  # noqa: SLF001 - argparse has no public name for it
    parent: LocalizedParser,
    name: str,
) -> LocalizedParser:
    """A parser for the subcommand `name`, worded by the texts `<name>.summary` and `<name>.description`."""
    parser = commands.add_parser(
        name,
        help=parent.text(f"{name}.summary"),
        description=parent.text(f"{name}.description"),
        catalog=parent.catalog,
        language=parent.language,
    )
    wrap_wide_text(parser)
    parser.add_language_option()
    return parser


def add_model_options(parser: LocalizedParser) -> None:
    """`--model` and how to load it; `load_options` reads them."""
    add = parser.options.add_argument
    add("--model", metavar="NAME_OR_PATH", help=parser.text("option.model"))
    add("--threads", metavar="N", type=positive, help=parser.text("option.threads"))
    add("--ctx", metavar="N", type=context_size, help=parser.text("option.ctx"))
    names = ", ".join(PROMPT_FORMATS)
    about_formats = parser.text("option.prompt_format", names=names)
    add("--prompt-format", metavar="NAME_OR_FILE", type=prompt_format, help=about_formats)
    add("--ignore-memory", action="store_true", help=parser.text("option.ignore_memory"))


def load_options(options: argparse.Namespace, default_threads: int | None) -> LoadOptions:
    """What `add_model_options` was given. Raises TemplateFileNotReadable."""
    asked_for = LoadOptions(
        context_tokens=options.ctx,
        threads=options.threads or default_threads,
        ignore_memory=options.ignore_memory,
    )
    return with_prompt_format(asked_for, options.prompt_format)


def add_sampling_options(parser: LocalizedParser) -> None:
    """How the next word is chosen, and whether it is thought before; `asked_sampling` reads them."""
    add = parser.options.add_argument
    add("--temperature", metavar="X", type=temperature, help=parser.text("chat.temperature"))
    add("--top-k", metavar="N", type=whole, help=parser.text("chat.top_k"))
    add("--top-p", metavar="X", type=share, help=parser.text("chat.top_p"))
    add("--min-p", metavar="X", type=share, help=parser.text("chat.min_p"))
    for name in ("repetition", "presence", "frequency"):
        kind = factor if name == "repetition" else penalty
        add(f"--{name}-penalty", metavar="X", type=kind, help=parser.text(f"chat.{name}_penalty"))
    add("--seed", metavar="N", type=seed, help=parser.text("chat.seed"))
    add("--max-tokens", metavar="N", type=answer_limit, help=parser.text("chat.max_tokens"))
    switch = parser.options.add_mutually_exclusive_group().add_argument
    switch("--think", dest="thinking", action="store_const", const="on", help=parser.text("chat.think"))
    switch(
        "--no-think", dest="thinking", action="store_const", const="off", help=parser.text("chat.no_think")
    )
    add("--thought-budget", metavar="N", type=positive, help=parser.text("chat.thought_budget"))


def asked_sampling(options: argparse.Namespace) -> PartialSampling:
    """What `add_sampling_options` was given."""
    return PartialSampling(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        seed=options.seed,
        max_tokens=options.max_tokens,
        thinking=options.thinking,
        thought_budget=options.thought_budget,
    )


def prompt_format(value: str) -> str | Path:
    """One of `PROMPT_FORMATS`, or the path of a template: an existing file, or what looks like one's name."""
    if value in PROMPT_FORMATS:
        return value
    path = Path(os.path.expanduser(value))
    if value and (path.is_file() or path.suffix or os.path.dirname(value)):
        return path
    # In argparse's own words, which the parser knows in both languages.
    raise argparse.ArgumentTypeError(f"invalid choice: {value!r} (choose from {', '.join(PROMPT_FORMATS)})")


def positive(value: str) -> int:
    """A whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number


def port(value: str) -> int:
    """A TCP port; 0 leaves the choice to the system."""
    number = int(value)
    if not 0 <= number < 2**16:
        raise ValueError(value)
    return number


def context_size(value: str) -> int:
    """Tokens of context; a million is more than any model has."""
    number = positive(value)
    if number > 1 << 20:
        raise ValueError(value)
    return number


def temperature(value: str) -> float:
    """A finite number of at least 0."""
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(value)
    return number


def whole(value: str) -> int:
    """A whole number of at least 0."""
    number = int(value)
    if not 0 <= number < 2**31:
        raise ValueError(value)
    return number


def share(value: str) -> float:
    """A number from 0 to 1."""
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(value)
    return number


def factor(value: str) -> float:
    """What a penalty divides by: 1 changes nothing."""
    number = float(value)
    if not 0.01 <= number <= 100:
        raise ValueError(value)
    return number


def penalty(value: str) -> float:
    """What a penalty subtracts: 0 changes nothing."""
    number = float(value)
    if not -100 <= number <= 100:
        raise ValueError(value)
    return number


def answer_limit(value: str) -> int:
    """A whole number of at least 1, or the word `none`."""
    return NO_LIMIT if value.casefold() == "none" else positive(value)


def seed(value: str) -> int:
    """A whole number of 32 bits."""
    number = int(value)
    if not 0 <= number < 2**32:
        raise ValueError(value)
    return number


def wrap_wide_text(parser: argparse.ArgumentParser) -> None:
    """Break the help's lines by columns on the screen, of which a Chinese character takes two."""
    base = parser.formatter_class

    class WideFormatter(base):  # type: ignore[valid-type, misc] # the localized parser makes its own class
        def _split_lines(self, text: str, width: int) -> list[str]:
            return list(wrap_columns(text, width))

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n".join(indent + line for line in wrap_columns(text, width - len(indent)))

    parser.formatter_class = WideFormatter


def wrap_columns(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns, broken at blanks or beside wide characters."""
    line, columns = "", 0
    for piece in _pieces(" ".join(text.split())):
        size = sum(map(_columns, piece))
        if columns + size - piece.endswith(" ") > width:
            if line.strip():
                yield line.rstrip()
            line, columns = "", 0
        line += piece
        columns += size
    if line.strip():
        yield line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """What must not be broken: a word and the blank after it, or a wide character and its punctuation."""
    piece = ""
    for character in text:
        is_wide = _columns(character) == 2
        closes = unicodedata.category(character) in ("Pe", "Po", "Pf")
        breaks_here = piece.endswith(" ") or is_wide or (piece and _columns(piece[-1]) == 2)
        if piece and breaks_here and not closes:
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
