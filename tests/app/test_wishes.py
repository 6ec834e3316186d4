"""From what a person calls a model they do not have to what is fetched for it."""

from __future__ import annotations

import pytest

from app.models.acquire import Wish
from app.models.finding import load_catalog
from app.models.wishes import find_get


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
