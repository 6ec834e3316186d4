"""Looking at a checkpoint on a hub before anything of its weights is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models.hub_folder import HubFolder
from app.models.hub_look import HubLook
from app.models.type_options import checkpoint_options
from builders.checkpoints import write_json
from builders.hub import LocalHub
from builders.torch_zip import write_torch_zip
from convert.detect import open_checkpoint
from convert.errors import TokenizerMissing
from convert.sources.hf_folder import open_weights
from engine.models.endpoints import Endpoints
from engine.models.fetch_errors import FetchError
from engine.models.hub import resolve
from engine.models.machine import Machine
from engine.models.ranges import ReadStopped

MACHINE = Machine(8 << 30, 6 << 30, 4, None, 35_000_000_000)
REPO = "owner/model"


def _look(hub: LocalHub) -> HubLook:
    endpoints = Endpoints((hub.url,))
    return HubLook(resolve(REPO, endpoints), endpoints)


def test_it_says_the_same_as_of_the_files_on_this_disk(tiny_checkpoint: Path) -> None:
    with open_checkpoint(tiny_checkpoint) as checkpoint:
        expected = checkpoint_options(checkpoint, MACHINE)
    with LocalHub() as hub:
        hub.add_folder(REPO, tiny_checkpoint)

        assert _look(hub).read(MACHINE) == expected


def test_what_keeps_it_from_being_converted_is_told_before_the_download(tiny_checkpoint: Path) -> None:
    with LocalHub() as hub:
        for path in tiny_checkpoint.iterdir():
            if not path.name.startswith("tokenizer"):
                hub.add(REPO, path.name, path)

        with pytest.raises(TokenizerMissing):
            _look(hub).read(MACHINE)


def test_an_index_that_was_left_behind_keeps_no_complete_file_from_being_read(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    index = tmp_path / "model.safetensors.index.json"
    write_json(index, {"weight_map": {"w": "model-00001-of-00002.safetensors"}})
    with open_checkpoint(tiny_checkpoint) as checkpoint:
        expected = checkpoint_options(checkpoint, MACHINE)
    with open_weights(tiny_checkpoint) as opened:
        weights = {name: each.read_rows(0, each.shape[0]) for name, each in opened.tensors.items()}
    write_torch_zip(tmp_path / "pytorch_model.bin", weights)
    with LocalHub() as hub:
        for path in tiny_checkpoint.iterdir():
            if path.suffix != ".safetensors":
                hub.add(REPO, path.name, path)
        hub.add(REPO, index.name, index)
        hub.add(REPO, "pytorch_model.bin", tmp_path / "pytorch_model.bin")

        assert _look(hub).read(MACHINE) == expected


@pytest.mark.parametrize("subfolder", ["", "a"])
def test_its_chat_templates_are_seen_in_their_folder(tiny_checkpoint: Path, subfolder: str) -> None:
    prefix = f"{subfolder}/" if subfolder else ""
    with LocalHub() as hub:
        for path in tiny_checkpoint.iterdir():
            hub.add(REPO, prefix + path.name, path)
        hub.add(REPO, f"{prefix}additional_chat_templates/default.jinja", b"{{ 'own' }}")
        hub.add(REPO, f"{prefix}additional_chat_templates/rag.jinja", b"{{ 'rag' }}")
        hub.add(REPO, "b/additional_chat_templates/other.jinja", b"{{ 'other' }}")
        endpoints = Endpoints((hub.url,))

        with (
            HubFolder(resolve(REPO, endpoints), endpoints, subfolder=subfolder) as folder,
            open_checkpoint(folder) as checkpoint,
        ):
            assert checkpoint.prompt("auto").template == "{{ 'own' }}"


def test_a_look_that_was_stopped_ends(tiny_checkpoint: Path) -> None:
    with LocalHub() as hub:
        hub.add_folder(REPO, tiny_checkpoint)
        look = _look(hub)
        look.stop()
        look.stop()

        with pytest.raises((ReadStopped, FetchError)):
            look.read(MACHINE)


def test_a_tokenizer_of_this_disk_takes_the_place_of_a_missing_one(tiny_checkpoint: Path) -> None:
    with LocalHub() as hub:
        for path in tiny_checkpoint.iterdir():
            if not path.name.startswith("tokenizer"):
                hub.add(REPO, path.name, path)
        endpoints = Endpoints((hub.url,))
        look = HubLook(resolve(REPO, endpoints), endpoints, tokenizer=tiny_checkpoint)

        assert look.read(MACHINE)


def test_it_looks_into_a_folder_of_the_repository(tiny_checkpoint: Path) -> None:
    with open_checkpoint(tiny_checkpoint) as checkpoint:
        expected = checkpoint_options(checkpoint, MACHINE)
    with LocalHub() as hub:
        for path in tiny_checkpoint.iterdir():
            hub.add(REPO, f"a/{path.name}", path)
        endpoints = Endpoints((hub.url,))

        assert HubLook(resolve(REPO, endpoints), endpoints, subfolder="a").read(MACHINE) == expected
