"""What the subcommands of `chatbelle models` share: the model that is named, and the answer on stdout."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from app.models.finding import not_listed
from app.shell import Shell

if TYPE_CHECKING:
    from engine.models.library import Library
    from engine.models.listing import LocalModel


def find_listed(name: str, library: Library, shell: Shell) -> LocalModel:
    """The library's model of this name or path. Raises ModelNotFound and ModelNotListed."""
    model = library.find(name)
    if model is None:
        raise not_listed(name, shell.home, library.paths())
    return model


def tell(options: argparse.Namespace, shell: Shell, key: str, report: dict[str, Any], **values: Any) -> None:
    """The report as JSON, or in words, which may use more `values`."""
    if options.json:
        shell.terminal.write_json(report)
    else:
        shell.terminal.write_raw(shell.texts.text(key, **report, **values) + "\n")
