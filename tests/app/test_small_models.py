"""The smaller and newer models of the catalog, from the choice to the file: one GGUF, taken as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.models.finding import load_catalog
from builders.gguf_models import write_model
from builders.hub import LocalHub
from builders.processes import Run, document
from engine.models.catalog import CatalogModel

SMALL = [model for model in load_catalog().models if model.group == "small"]


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


@pytest.mark.parametrize("model", SMALL, ids=lambda model: model.id)
def test_one_file_is_fetched_and_known_by_its_entry(
    model: CatalogModel, hub: LocalHub, chatbelle: Run, home_folder: Path, tmp_path: Path
) -> None:
    """Its size and hash come from the hub; what else is in the repository stays there."""
    published = write_model(tmp_path / "published.gguf", architecture="llama")
    for item in model.files or ():
        hub.add(model.repo, item.name, published)
    hub.add(model.repo, "mmproj-F16.gguf", b"GGUF" + bytes(2000))
    hub.add(model.repo, "README.md", b"# card")
    online = {"HF_ENDPOINT": hub.url}

    done = document(chatbelle("models", "download", model.id, "--json", env=online))

    path = Path(done["path"])
    assert path.parent == home_folder / "models"
    assert path.read_bytes() == published.read_bytes()
    assert [each.name for each in (home_folder / "models").glob("*.gguf")] == [path.name]
    (listed,) = document(chatbelle("models", "list", "--json"))["models"]
    assert (listed["license"], listed["problem"]) == ("apache-2.0", None)


def test_another_type_is_fetched_by_its_name(
    hub: LocalHub, chatbelle: Run, home_folder: Path, tmp_path: Path
) -> None:
    published = write_model(tmp_path / "published.gguf", architecture="llama")
    for name in ("Qwen3-4B-Q4_K_M.gguf", "Qwen3-4B-Q8_0.gguf"):
        hub.add("Qwen/Qwen3-4B-GGUF", name, published)

    done = chatbelle(
        "models", "download", "qwen3-4b", "--type", "q8_0", "--json", env={"HF_ENDPOINT": hub.url}
    )

    assert Path(document(done)["path"]).name == "Qwen3-4B-Q8_0.gguf"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_table_names_them_with_their_licences(language: str, chatbelle: Run) -> None:
    table = chatbelle("models", "list", "--catalog", "--lang", language).stdout
    for model in SMALL:
        line = next(line for line in table.splitlines() if model.id in line)
        assert "apache-2.0" in line
