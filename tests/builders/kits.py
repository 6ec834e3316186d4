"""An offline kit with a tiny model, without the program: what is installed from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.kit.manifest import MANIFEST_NAME, Kit, KitFile, KitModel, write_text
from builders.gguf_models import write_model

MODEL_NAME = "贝拉"


def write_kit(folder: Path) -> Path:
    """Write the kit into `folder`, and return its model's file."""
    (folder / "models").mkdir(parents=True)
    model = write_model(folder / "models" / f"{MODEL_NAME}.gguf")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    file = KitFile(f"models/{model.name}", model.stat().st_size, digest)
    kit = Kit("0.1.0", "Linux-x86_64", "ChatBELLE", KitModel(MODEL_NAME, digest, (file,)))
    (folder / MANIFEST_NAME).write_text(write_text(kit), encoding="utf-8")
    return model
