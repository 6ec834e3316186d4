"""What a person should know of a checkpoint though it converts: what was chosen, left out or assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """One thing to know, as a text of the catalog: key `note.<key>`, filled with `values`."""

    key: str
    values: Mapping[str, str | int] = field(default_factory=dict)
