"""`requirements.txt` beside this, read for the Python and the system that run this."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution; `line` is its requirement with the hashes that are allowed, as pip reads it."""

    name: str
    version: str
    line: str


def read_pins(path: Path = REQUIREMENTS) -> dict[str, Pin]:
    """What applies here, by normalised name."""
    pins = {}
    joined = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    for line in joined.splitlines():
        text = line.partition("#")[0].partition(" --hash")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            (specifier,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            hashes = " ".join(re.findall(r"--hash=\S+", line))
            pins[name] = Pin(name, specifier.version, f"{requirement.name}=={specifier.version} {hashes}")
    return pins
