"""The pins that a bundle is made from: complete, hashed, and what the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundle.lock import UNUSED
from bundle.pins import REQUIREMENTS, read_pins

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["bundle"]]


@pytest.mark.parametrize("text", WANTED)
def test_every_dependency_is_pinned_at_a_version_the_project_allows(text: str) -> None:
    requirement = Requirement(text)
    if requirement.marker is not None and not requirement.marker.evaluate():
        pytest.skip("not for this system")
    name = canonicalize_name(requirement.name)
    if name in UNUSED:
        assert name not in read_pins()
        return

    assert requirement.specifier.contains(read_pins()[name].version)


def test_every_pin_has_a_hash() -> None:
    assert all("--hash=sha256:" in pin.line for pin in read_pins().values())


def test_the_file_names_no_address() -> None:
    assert not re.search(r"https?:|--index|--find-links", REQUIREMENTS.read_text(encoding="utf-8"))


def test_markers_choose_the_line_of_this_system(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "one==1.0 ; python_version < '3' \\\n    --hash=sha256:aa\n"
        "one==2.0 ; python_version >= '3' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n",
        encoding="utf-8",
    )

    (pin,) = read_pins(file).values()

    assert (pin.name, pin.version) == ("one", "2.0")
    assert pin.line == "one==2.0 --hash=sha256:bb --hash=sha256:cc"
