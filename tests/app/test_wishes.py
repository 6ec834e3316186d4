"""From what a person calls a model they do not have to what is fetched for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import NotForGguf, TypeNotOffered
from app.models.acquire import Wish
from app.models.finding import load_catalog
from app.models.wishes import find_get
from engine.models.errors import KeyFileNeeded


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("owner/name", None, Wish("owner/name")),
        ("owner/name", "q8_0", Wish("owner/name", target="q8_0")),
        ("owner/name/belle-q8_0.gguf", None, Wish("owner/name", file="belle-q8_0.gguf")),
        (
            "owner/name/ggml-model-q4_0.bin",
            None,
            Wish(
                "owner/name",
                file="ggml-model-q4_0.bin",
                target="auto",
                output_name="name-ggml-model-q4_0.gguf",
            ),
        ),
        (
            "owner/name/ggml-model-q4_0.bin",
            "q4_k_m",
            Wish("owner/name", file="ggml-model-q4_0.bin", target="q4_k_m"),
        ),
    ],
)
def test_blocks_of_a_named_file_stay_as_they_are_unless_a_type_is_asked_for(
    name: str, target: str | None, expected: Wish
) -> None:
    assert find_get(name, load_catalog(), target=target).wish == expected


@pytest.mark.parametrize(
    ("target", "file", "converted", "output"),
    [
        (None, "bloom7b-2m-4bit-128g.pt", "auto", "BELLE-7B-gptq-2m-4bit.gguf"),
        ("2m-8bit", "bloom7b-2m-8bit-128g.pt", "auto", "BELLE-7B-gptq-2m-8bit.gguf"),
        ("0.2M-4bit", "bloom7b-0.2m-4bit-128g.pt", "auto", "BELLE-7B-gptq-0.2m-4bit.gguf"),
        ("q4_k_m", "bloom7b-2m-4bit-128g.pt", "q4_k_m", "BELLE-7B-gptq-2m-4bit-q4_k_m.gguf"),
    ],
)
def test_the_variant_of_a_gptq_model_decides_its_file(
    target: str | None, file: str, converted: str, output: str
) -> None:
    errand = find_get("BELLE-7B-gptq", load_catalog(), target=target)
    assert errand.tokenizer_repo == "BelleGroup/BELLE-7B-2M"
    assert errand.wish is not None
    found = errand.wish
    assert (found.file, found.target, found.output_name) == (file, converted, output)


@pytest.mark.parametrize("name", ["owner/name/belle-f16.gguf", "https://example.org/belle-f16.gguf"])
def test_a_gguf_that_is_named_is_of_its_own_type_and_takes_no_key(name: str) -> None:
    for target in ("f16", "F16", "auto"):
        assert find_get(name, load_catalog(), target=target)
    for option, given in {"type": {"target": "q8_0"}, "key": {"key": Path("k")}}.items():
        with pytest.raises(NotForGguf) as refused:
            find_get(name, load_catalog(), **given)  # type: ignore[arg-type]
        assert (refused.value.name, refused.value.option) == (name, option)


def test_the_name_of_a_repository_is_no_type_of_its_files() -> None:
    for name in ("owner/Belle-f16-GGUF/belle-q4_0.gguf", "https://example.org/belle-f16/belle-q4_0.gguf"):
        with pytest.raises(NotForGguf):
            find_get(name, load_catalog(), target="f16")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("belle-llama2-13b-chat-gguf", "q8_0"),  # published as two files
        ("belle-7b-2m", "bin"),
        ("belle-7b-2m", "2m-4bit"),
        ("owner/name", "2m-4bit"),
    ],
)
def test_a_type_that_there_is_none_of_is_refused(name: str, target: str) -> None:
    with pytest.raises(TypeNotOffered) as refused:
        find_get(name, load_catalog(), target=target)
    assert "auto" in refused.value.known
    assert target not in refused.value.known


SET = "BelleGroup/BELLE-on-Open-Datasets"


@pytest.mark.parametrize("start", [SET, "belle-on-open-datasets", "BELLE-on-Open-datasets"])
def test_a_model_of_a_set_is_named_by_its_folder_and_keeps_what_the_catalog_knows(start: str) -> None:
    errand = find_get(f"{start}/0.6M-ft", load_catalog(), key=Path("key.pth"))

    assert errand.wish == Wish(SET, subfolder="0.6M-ft", prompt="belle", key="key.pth")
    assert (errand.title, errand.source) == ("BELLE-on-Open-Datasets/0.6M-ft", f"{SET}/0.6M-ft")
    assert (errand.license, errand.catalog_id) == ("gpl-3.0", "belle-on-open-datasets")


def test_asking_which_models_a_set_has_takes_no_key_but_getting_one_does() -> None:
    assert find_get(SET, load_catalog()).wish == Wish(SET, prompt="belle")
    with pytest.raises(KeyFileNeeded):
        find_get(f"{SET}/0.6M-ft", load_catalog())


@pytest.mark.parametrize("folder", ["merged", "a/b", "BELLE-0.6M"])
def test_what_has_no_name_of_a_weight_file_is_a_folder(folder: str) -> None:
    assert find_get(f"owner/name/{folder}", load_catalog()).wish == Wish("owner/name", subfolder=folder)
