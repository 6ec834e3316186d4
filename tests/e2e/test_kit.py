"""An offline kit that is opened with the program: one click installs its model, and only if it is sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders.kits import MODEL_NAME, write_kit

Start = Callable[..., Any]
Look = Callable[..., Any]


def test_a_kit_opened_with_the_program_is_installed_and_verified(
    start: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    model = write_kit(tmp_path / "U盘 kit")
    app = look(start(arguments=(str(tmp_path / "U盘 kit"),)))

    app.click("convert-start")

    copied = home / "models" / f"{MODEL_NAME}.gguf"
    app.wait_for(copied.is_file, "a copied model")
    assert copied.read_bytes() == model.read_bytes()


def test_a_damaged_model_of_a_kit_is_said(start: Start, look: Look, home: Path, tmp_path: Path) -> None:
    model = write_kit(tmp_path / "kit")
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    app = look(start(arguments=(str(tmp_path / "kit"),)))

    app.click("convert-start")

    app.wait_for_text("of the offline kit is damaged")
    assert not (home / "models" / f"{MODEL_NAME}.gguf").exists()
