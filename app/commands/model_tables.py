"""The tables of `chatbelle models`, made of the reports in `app.models.report`, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from app.i18n import Texts
from app.terminal import Terminal
from convert.i18n import size_text

if TYPE_CHECKING:
    from rich.table import Table

_UNKNOWN = "—"
_PIPE_COLUMNS = 200
# What `show` lists, in order; the keys are those of the reports.
_DETAILS = (
    ("name", "id", "repo", "title", "about", "recommendation", "problem", "path", "size_bytes")
    + ("download_bytes", "form", "family", "architecture", "quantization", "n_parameters")
    + ("trained_context_tokens", "prompt_format", "license", "source", "sha256", "needs")
)
# How the catalog's forms are worded; what is not here is called as it is.
_FORMS = {"hf": "models.form.hf", "gptq-pt": "convert.form.gptq", "private-container": "models.form.private"}
_ENCRYPTED_FORMS = {"xor-hf": "hf", "xor-gptq": "gptq-pt"}
_SIZES = ("size_bytes", "download_bytes")
_COUNTS = ("n_parameters", "trained_context_tokens")


def print_table(terminal: Terminal, table: Table) -> None:
    """Show a table as it is: names may have [red] or :heart: in them. Raises what `write_raw` raises."""
    from rich.console import Console

    page = StringIO()
    is_terminal = terminal.stdout.isatty()
    # In a pipe lines are as long as they need to be: a program reads them.
    width = None if is_terminal else _PIPE_COLUMNS
    console = Console(
        file=page, force_terminal=is_terminal, width=width, highlight=False, markup=False, emoji=False
    )
    console.print(table)
    terminal.write_raw(page.getvalue())


def local_table(texts: Texts, models: Iterable[Mapping[str, Any]]) -> Table:
    """Models on this disk."""
    table = _table(texts, "name", "size_bytes", "quantization", "fit", "license", "source")
    for model in models:
        kind = model["problem_kind"]
        table.add_row(
            _plain(model["name"]),
            size_text(model["size_bytes"]),
            model["quantization"] or _UNKNOWN,
            texts.text(f"models.problem.{kind}") if kind else fit_text(texts, model["fit"]),
            _plain(model["license"]),
            _plain(model["source"]),
        )
    return table


def catalog_table(texts: Texts, models: Iterable[Mapping[str, Any]]) -> Table:
    """Models of the catalog."""
    table = _table(texts, "id", "about", "download_bytes", "quantization", "fit", "license")
    for model in models:
        size_bytes = model["download_bytes"]
        table.add_row(
            _plain(model["id"]),
            _plain(model["about"]),
            size_text(size_bytes) if size_bytes else _UNKNOWN,
            model["chosen"] or _UNKNOWN,
            fit_text(texts, model["fit"]) if model["can_be_used"] else texts.text("models.fit.unusable"),
            _plain(model["license"]),
        )
    return table


def added_table(texts: Texts, entries: Iterable[Mapping[str, Any]]) -> Table:
    """What a person added to the catalog."""
    table = _table(texts, "name", "source")
    for entry in entries:
        table.add_row(_plain(entry["name"]), _plain(entry["source"]))
    return table


def hub_table(texts: Texts, results: Iterable[Mapping[str, Any]]) -> Table:
    """Repositories of the hub."""
    table = _table(texts, "repo", "n_downloads")
    for result in results:
        table.add_row(_plain(result["name"]), f"{result['n_downloads']:,}")
    return table


def details_table(texts: Texts, report: Mapping[str, Any]) -> Table:
    """One model, a line for each thing that is known."""
    table = _grid()
    for key in _DETAILS:
        value = report.get(key)
        if value not in (None, "", []):
            table.add_row(texts.text(f"models.field.{key}"), _value(texts, key, value))
    chosen = report.get("chosen")  # only of what is not on this disk: a file's own type is among the details
    if report.get("fit") or chosen:
        words = (chosen, fit_text(texts, report["fit"]))
        table.add_row(texts.text("models.field.fit"), "  ".join(filter(None, words)))
    for name, output in report.get("outputs", {}).items():
        size = size_text(output["size_bytes"]) if output["size_bytes"] else _UNKNOWN
        if output["is_estimate"] and output["size_bytes"]:
            size = texts.text("models.show.about", size=size)
        table.add_row(name, f"{size}  {fit_text(texts, output['fit'])}")
    return table


def places_table(texts: Texts, report: Mapping[str, Any]) -> Table:
    """Where models are."""
    table = _grid()
    states = report["states"]

    def add(name: str, folder: str, told: Iterable[str]) -> None:
        state = states[folder]
        place = texts.text(f"models.where.{state}", path=folder) if state in told else folder
        table.add_row(texts.text(f"models.where.{name}"), _plain(place))

    table.add_row(texts.text("models.where.data"), _plain(report["data"]))
    add("models", report["models"], ["unreadable"])  # this one and the cache need not be there
    for folder in report["folders"]:
        add("folder", folder, ["unreadable", "gone"])
    add("hf_cache", report["hf_cache"], ["unreadable"])
    if report["free_bytes"] is not None:
        table.add_row(texts.text("models.where.free"), size_text(report["free_bytes"]))
    return table


def fit_text(texts: Texts, fit: Mapping[str, Any] | None) -> str:
    """`runs well`, or what is missing and what to choose instead."""
    if fit is None:
        return _UNKNOWN
    if fit["verdict"] != "no":
        return texts.text(f"models.fit.{fit['verdict']}", **fit)
    text = texts.text("models.fit.no", **fit)
    if fit["smaller_context_tokens"] is not None:
        text += texts.text("models.fit.smaller", **fit)
    return text


def _value(texts: Texts, key: str, value: Any) -> str:
    if key in _SIZES:
        return size_text(value)
    if key in _COUNTS:
        return f"{value:,}"
    if key == "form":
        return _form(texts, value)
    if key == "needs":
        return "\n".join(
            _plain(texts.text(f"models.need.{need['kind']}", name=need["name"])) for need in value
        )
    return _plain(", ".join(value) if isinstance(value, list) else value)


def _form(texts: Texts, form: str) -> str:
    if form in _ENCRYPTED_FORMS:
        return texts.text("convert.form.plus_encrypted", form=_form(texts, _ENCRYPTED_FORMS[form]))
    return texts.text(_FORMS[form]) if form in _FORMS else form.upper()


def _table(texts: Texts, *keys: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for key in keys:
        table.add_column(texts.text(f"models.field.{key}"), overflow="fold")
    return table


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _plain(text: Any) -> str:
    """Text of a file's metadata or of the network; controls are left out."""
    return "".join(letter for letter in str(text or _UNKNOWN) if letter.isprintable())
