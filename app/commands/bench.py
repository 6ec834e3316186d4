"""`chatbelle bench`: how fast a model runs on this machine, measured several times.

Every repetition loads the model anew, reads a long prompt, then answers a short question. Memory is the whole
process's. Nothing here knows the engine behind the protocol.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.arguments import add_command, add_model_options, load_options, positive
from app.interrupts import cancelling_on_interrupt
from app.shell import EXIT_OK, Shell
from convert.i18n import size_text
from convert.i18n.arguments import LocalizedParser
from engine.backend import Backend
from engine.errors import PromptTooLong
from engine.types import Finished, FinishReason, LoadOptions, Message, ModelInfo, Sampling, Statistics

if TYPE_CHECKING:
    from rich.table import Table

NAME = "bench"
_QUESTION = "请用一段话介绍一下你自己，再说说你能帮我做什么。"
_PARAGRAPH = "春天来了，河边的柳树发了芽。The river is clear, and the boats go up and down all day long. "
_N_PARAGRAPHS = 8
_SEED = 42


@dataclass(frozen=True)
class Run:
    """One repetition, in the units of the names; None where too little was done to measure it."""

    load_s: float
    prompt_tokens: int
    prompt_tokens_per_s: float | None
    first_token_s: float | None
    generated_tokens: int
    tokens_per_s: float | None
    sampling_us_per_token: float | None


@dataclass(frozen=True)
class Spread:
    """The middle and the extremes of one figure over all repetitions."""

    median: float
    minimum: float
    maximum: float


FIGURES = ("load_s", "prompt_tokens_per_s", "first_token_s", "tokens_per_s", "sampling_us_per_token")


def add_parser(commands: argparse._SubParsersAction[LocalizedParser], parent: LocalizedParser) -> None:
    """Describe the subcommand."""
    parser = add_command(commands, parent, NAME)
    add_model_options(parser)
    add = parser.options.add_argument
    add("--repeat", metavar="N", type=positive, default=5, help=parser.text("bench.repeat"))
    add("--tokens", metavar="N", type=positive, default=64, help=parser.text("bench.tokens"))
    add("--json", action="store_true", help=parser.text("bench.json"))
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace, shell: Shell) -> int:
    """Measure and report. Raises EngineError, ConvertError, AppError, OutputClosed."""
    from convert.pipeline import peak_rss_bytes

    model = shell.choose_model(options.model)
    backend = shell.make_backend()
    runs: list[Run] = []
    try:
        for number in range(1, options.repeat + 1):
            shell.terminal.note(shell.texts.text("bench.running", number=number, total=options.repeat))
            info, measured = measure(backend, model.path, load_options(options), options.tokens)
            runs.append(measured)
    finally:
        backend.unload()
    spreads = summarize(runs)
    peak_bytes = peak_rss_bytes()
    if options.json:
        shell.terminal.write_raw(_json(info, runs, spreads, peak_bytes))
    else:
        _show(shell, info, runs, spreads, peak_bytes)
    return EXIT_OK


def measure(backend: Backend, path: Path, options: LoadOptions, n_tokens: int) -> tuple[ModelInfo, Run]:
    """One repetition; the model stays loaded. Raises EngineError, and KeyboardInterrupt when cancelled."""
    backend.unload()
    started_s = time.perf_counter()
    info = backend.load(path, options)
    load_s = time.perf_counter() - started_s
    prompt = _read_prompt(backend)
    answer = _answer(backend, _QUESTION, n_tokens)
    n_chosen = answer.generated_tokens
    return info, Run(
        load_s=load_s,
        prompt_tokens=prompt.prompt_tokens,
        prompt_tokens_per_s=prompt.prompt_tokens_per_s or None,
        first_token_s=answer.first_token_s,
        generated_tokens=n_chosen,
        tokens_per_s=answer.tokens_per_s or None,
        sampling_us_per_token=answer.sampling_s / n_chosen * 1e6 if n_chosen else None,
    )


def _read_prompt(backend: Backend) -> Statistics:
    """Read a long prompt, shortened until the context takes it."""
    n_paragraphs = _N_PARAGRAPHS
    while True:
        try:
            return _answer(backend, _PARAGRAPH * n_paragraphs, 1)
        except PromptTooLong:
            if n_paragraphs == 1:
                raise
            n_paragraphs //= 2


def _answer(backend: Backend, question: str, n_tokens: int) -> Statistics:
    """Answer with the sampling people use by default, of which greedy choice would be no measure."""
    sampling = replace(Sampling(), seed=_SEED, max_tokens=n_tokens)
    events = backend.chat([Message("user", question)], sampling)
    with cancelling_on_interrupt(backend.cancel):
        finished = [event for event in events if isinstance(event, Finished)]
    if finished[-1].reason is FinishReason.CANCELLED:
        raise KeyboardInterrupt
    return finished[-1].statistics


def summarize(runs: Sequence[Run]) -> dict[str, Spread | None]:
    """Median and range of every figure; None where no repetition has it."""
    spreads: dict[str, Spread | None] = {}
    for name in FIGURES:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        spreads[name] = Spread(statistics.median(values), min(values), max(values)) if values else None
    return spreads


def _json(info: ModelInfo, runs: Sequence[Run], spreads: dict[str, Spread | None], peak_bytes: int) -> str:
    model = asdict(info)
    del model["vocabulary"]
    document = {
        "model": model,
        "figures": {name: asdict(spread) if spread else None for name, spread in spreads.items()},
        "peak_rss_bytes": peak_bytes,
        "runs": [asdict(run) for run in runs],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _show(
    shell: Shell, info: ModelInfo, runs: Sequence[Run], spreads: dict[str, Spread | None], peak_bytes: int
) -> None:
    """A table on stdout, in lines as wide as the terminal."""
    from io import StringIO

    from rich.console import Console

    stdout = shell.terminal.stdout
    page = StringIO()
    console = Console(file=page, force_terminal=stdout.isatty(), highlight=False)
    console.print(_table(shell, info, runs, spreads, peak_bytes))
    shell.terminal.write_raw(page.getvalue())


def _table(
    shell: Shell, info: ModelInfo, runs: Sequence[Run], spreads: dict[str, Spread | None], peak_bytes: int
) -> Table:
    from rich.table import Table

    texts = shell.texts
    title = texts.text(
        "bench.title",
        name=info.name,
        quantization=info.quantization,
        threads=info.n_threads,
        context_tokens=info.context_tokens,
        prompt_tokens=runs[-1].prompt_tokens,
        tokens=runs[-1].generated_tokens,
        repeat=len(runs),
    )
    table = Table(title=title, title_justify="left")
    for key in ("figure", "median", "minimum", "maximum"):
        table.add_column(texts.text(f"bench.{key}"), justify="left" if key == "figure" else "right")
    for name, spread in spreads.items():
        cells = ("-", "-", "-")
        if spread is not None:
            cells = (_short(spread.median), _short(spread.minimum), _short(spread.maximum))
        table.add_row(texts.text(f"bench.{name}"), *cells)
    table.add_row(texts.text("bench.peak_rss"), size_text(peak_bytes), "", "")
    return table


def _short(value: float) -> str:
    """Three significant digits, as a plain number."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{decimals}f}"
