"""Getting what was published encrypted, as one of several models in a repository, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.checkpoints import write_llama
from builders.encrypted import encrypt_folder
from builders.hub import LocalHub

Start = Callable[..., Any]
Look = Callable[..., Any]

SET = "BelleGroup/BELLE-on-Open-Datasets"
KEY = bytes(range(256)) * 40


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "密钥" / "consolidated.00.pth"
    path.parent.mkdir()
    path.write_bytes(KEY)
    return path


def test_a_model_of_a_set_is_chosen_by_its_folder_and_got_with_the_key(
    start: Start, look: Look, hub: LocalHub, home: Path, tmp_path: Path, key: Path
) -> None:
    for seed, folder in enumerate(("BELLE-0.5M", "BELLE-1.5M")):
        write_llama(tmp_path / "plain" / folder, n_ff=192, seed=seed)
        encrypt_folder(tmp_path / "plain" / folder, tmp_path / folder, KEY)
        for path in (tmp_path / folder).iterdir():
            hub.add(SET, f"{folder}/{path.name}", path)
    app = look(start(hub=hub.url), height=1_800)
    app.click("models")
    app.click("section-get")
    app.fill("catalog-text", "open datasets")
    app.wait_for(lambda: not app.has("catalog-belle-7b-2m"), "the set alone")
    assert hub.seen == []

    app.click("get-belle-on-open-datasets")

    app.wait_for_label("hub-offer-1", "BELLE-1.5M")
    assert not app.has("hub-offer-2")
    app.click("hub-offer-1")
    app.click("get-start")
    app.wait_for_text("Give the path of the file.")
    assert not app.has("job-0")
    app.fill("key-file", str(key))
    app.click("get-start")
    app.wait_for_label("job-0", "is ready")
    assert os.listdir(home / "models") == ["BELLE-on-Open-Datasets-BELLE-1.5M-q4_k_m.gguf"]
    weights = {seen.name.partition("/")[0] for seen in hub.file_requests() if ".safetensors." in seen.name}
    assert weights == {"BELLE-1.5M"}
