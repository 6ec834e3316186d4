"""How `belle-convert` speaks: results on stdout, everything else on stderr, in one language.

The one module of the converter that knows rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from convert.arch import family_title
from convert.decrypt import Decrypted
from convert.i18n import Catalog, Language, size_text
from convert.recipes import AUTO

# Paths may have [red] or :heart: in them.
_PLAIN: Any = {"highlight": False, "markup": False, "emoji": False}


class _LenientStream:
    """A stream whose terminal may be closed meanwhile: nobody reads it then, and no work fails by that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ProgressBar:
    """The bar of one piece of work: phase, rate, time left and the tensor or file at work."""

    def __init__(self, bar: RichProgress, catalog: Catalog, language: Language) -> None:
        self._bar = bar
        self._catalog = catalog
        self._language = language
        self._phase = ""
        self._task = bar.add_task("", item="")

    def update(self, phase: str, item: str, done_bytes: int, total_bytes: int) -> None:
        """Show this state; a new phase (`progress.<phase>`) starts the bar, and its clock, again."""
        if phase != self._phase:
            self._phase = phase
            label = self._catalog.text(f"progress.{phase}", self._language)
            self._bar.reset(self._task, total=total_bytes, description=label)
        self._bar.update(self._task, completed=done_bytes, item=item)


class Terminal:
    """The two output streams in one language; `as_json` keeps stdout to one JSON object."""

    def __init__(self, catalog: Catalog, language: Language, *, as_json: bool) -> None:
        self._catalog = catalog
        self._language = language
        self._as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a Windows console's code page can't say Chinese
                stream.reconfigure(encoding="utf-8", errors="replace")
        self._out = Console(**_PLAIN)
        self._err = Console(file=cast(TextIO, _LenientStream(sys.stderr)), soft_wrap=True, **_PLAIN)

    def _text(self, key: str, /, **values: Any) -> str:
        return self._catalog.text(key, self._language, **values)

    def note(self, text: str) -> None:
        """One line on stderr."""
        self._err.print(text)

    def fail(self, error: Any) -> None:
        """The sentence for a refusal, on stderr."""
        self.note(self._catalog.error_text(error, self._language))

    @contextmanager
    def progress(self) -> Iterator[ProgressBar]:
        """A progress bar on stderr; invisible where stderr is no terminal or JSON was asked for."""
        with RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[item]}", markup=False),
            console=self._err,
            transient=True,
            disable=self._as_json or not self._err.is_terminal,
        ) as bar:
            yield ProgressBar(bar, self._catalog, self._language)

    def show_inspection(self, report: dict[str, Any]) -> None:
        """What `inspect` found."""
        if self._as_json:
            return write_json(report)
        rows = {
            "source": report["source"],
            "form": self._text(
                "inspect.form_value",
                form=report["form"],
                n_files=len(report["files"]),
                size_bytes=report["size_bytes"],
            ),
            "architecture": family_title(report["architecture"]),
            "parameters": self._text("inspect.parameters_value", n=report["n_parameters"]),
            "stored": ", ".join(report["dtypes"]),
            "tokenizer": self._text("inspect.tokenizer_value", **report["tokenizer"]),
            "prompt_format": f"{report['prompt_format']['name']} ({self._prompt_reason(report)})",
        }
        if report["notes"]:
            rows["notes"] = "\n".join(self._notes(report))
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")  # a path is of use as a whole only
        for key, value in rows.items():
            table.add_row(self._text(f"inspect.{key}"), value)
        self._out.print(table)
        self._out.print()
        sizes = Table(self._text("inspect.type"), self._text("inspect.size"), box=None, padding=(0, 2, 0, 0))
        for target, size_bytes in report["outputs"].items():
            mark = f"  {self._text('inspect.default')}" if target == report["default_type"] else ""
            sizes.add_row(target + mark, size_text(size_bytes))
        self._out.print(sizes)

    def show_conversion(self, report: dict[str, Any]) -> None:
        """What `to-gguf` made; weights that are no numbers are a warning."""
        for tensor, count in report["n_nonfinite"].items():
            self.note(self._text("convert.nonfinite", tensor=tensor, count=count))
        if self._as_json:
            return write_json(report)
        for note in self._notes(report):
            self.note(note)
        if report["type"] == AUTO:
            types = ", ".join(f"{type_} ({count})" for type_, count in report["types"].items())
            self.note(self._text("convert.auto", types=types))
        text = self._text("convert.done", reason=self._prompt_reason(report), **report)
        self._out.print(text, soft_wrap=True)

    def show_decrypted(self, decrypted: Decrypted) -> None:
        """The plain files that `decrypt` wrote."""
        if self._as_json:
            return write_json(
                {
                    "files": [str(path) for path in decrypted.paths],
                    "size_bytes": decrypted.size_bytes,
                    "seconds": decrypted.seconds,
                }
            )
        for path in decrypted.paths:
            text = self._text("decrypt.done", path=path, size_bytes=path.stat().st_size)
            self._out.print(text, soft_wrap=True)

    def _notes(self, report: dict[str, Any]) -> list[str]:
        return [self._text(f"note.{note['key']}", **note["values"]) for note in report["notes"]]

    def _prompt_reason(self, report: dict[str, Any]) -> str:
        chosen = report["prompt_format"]
        return self._text(f"prompt_reason.{chosen['reason']}", place=chosen["place"])


def write_json(value: dict[str, Any]) -> None:
    """One JSON object, as a line on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
