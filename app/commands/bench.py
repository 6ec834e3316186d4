"""`chatbelle bench`: how fast a model runs on this machine, as a table or as JSON."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.arguments import add_command, add_model_options, load_options, positive
from app.benchmark import Report, Run, measure
from app.commands.model_tables import print_table
from app.i18n import Texts
from app.shell import EXIT_OK, Shell, warn_of_context
from convert.i18n import size_text
from convert.i18n.arguments import LocalizedParser

if TYPE_CHECKING:
    from rich.table import Table

    from engine.native.features import NativeLibrary

NAME = "bench"


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
    from engine.native.features import native_library

    report = _measure(options, shell)
    library = native_library()
    if options.json:
        shell.terminal.write_json(_document(report, library))
    else:
        print_table(shell.terminal, _table(shell.texts, report, library))
    return EXIT_OK


def _measure(options: argparse.Namespace, shell: Shell) -> Report:
    from convert.pipeline import peak_rss_bytes
    from engine.backends import worker_peak_rss_bytes

    model = shell.choose_model(options.model)
    backend = shell.make_backend()
    runs: list[Run] = []
    try:
        wanted = load_options(options, model.threads)
        for number in range(1, options.repeat + 1):
            if not options.json:
                shell.terminal.note(shell.texts.text("bench.running", number=number, total=options.repeat))
            info, measured = measure(backend, model.path, wanted, options.tokens)
            runs.append(measured)
            if number == 1:
                warn_of_context(options.ctx, info, shell)
    finally:
        backend.unload()
    return Report(info, runs, worker_peak_rss_bytes(backend) or peak_rss_bytes())


def _document(report: Report, library: NativeLibrary) -> dict[str, object]:
    model = asdict(report.info)
    del model["vocabulary"]
    figures = {name: asdict(spread) if spread else None for name, spread in report.figures.items()}
    return {
        "model": model,
        "library": asdict(library),
        "figures": figures,
        "peak_rss_bytes": report.peak_rss_bytes,
        "runs": [asdict(run) for run in report.runs],
    }


def _table(texts: Texts, report: Report, library: NativeLibrary) -> Table:
    from rich.table import Table

    info, last = report.info, report.runs[-1]
    title = texts.text(
        "bench.title",
        name=info.name,
        quantization=info.quantization,
        threads=info.n_threads,
        context_tokens=info.context_tokens,
        prompt_tokens=last.prompt_tokens,
        tokens=last.generated_tokens,
        repeat=len(report.runs),
    )
    caption = texts.text(
        "bench.library",
        release=library.release,
        variant=library.cpu_variant or texts.text("bench.one_variant"),
        features=library.cpu_features,
    )
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    table.add_column(texts.text("bench.figure"))
    for key in ("median", "minimum", "maximum"):
        table.add_column(texts.text(f"bench.{key}"), justify="right")
    for name, spread in report.figures.items():
        cells = (spread.median, spread.minimum, spread.maximum) if spread else ()
        table.add_row(texts.text(f"bench.{name}"), *(map(_short, cells) if cells else "---"))
    table.add_row(texts.text("bench.peak_rss"), size_text(report.peak_rss_bytes), "", "")
    return table


def _short(value: float) -> str:
    """Three significant digits, as a plain number."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{decimals}f}"
