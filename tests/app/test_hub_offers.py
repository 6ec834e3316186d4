"""What can be had of a repository, told from its files' names."""

from __future__ import annotations

import pytest

from app.models.hub_offers import HubOffer, family_of, kind_of, license_of, repository_offers
from engine.models.endpoints import RemoteFile
from engine.models.hub import Repository, SearchResult

DIGEST = "0" * 64


def _offers(*names: str, repo: str = "owner/name", size_bytes: int | None = 10) -> list[HubOffer]:
    files = tuple(RemoteFile(repo, "main", name, size_bytes) for name in names)
    return list(repository_offers(Repository(repo, "a" * 40, files, False, None)))


def test_every_gguf_is_an_offer_and_a_split_one_is_one() -> None:
    offers = _offers(
        "b.q4_k_m.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "sub/a.GGUF", "README.md"
    )

    assert [(offer.file, offer.size_bytes, offer.n_files) for offer in offers] == [
        ("b.q4_k_m.gguf", 10, 1),
        ("big-00001-of-00002.gguf", 20, 2),
        ("sub/a.GGUF", 10, 1),
    ]
    assert {offer.kind for offer in offers} == {"gguf"}


def test_a_checkpoint_is_one_offer_and_safetensors_count_where_both_are_there() -> None:
    offers = _offers(
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "pytorch_model.bin",
        "training_args.bin",
        "tokenizer.json",
    )

    assert [(offer.kind, offer.file, offer.size_bytes) for offer in offers] == [("checkpoint", None, 20)]


@pytest.mark.parametrize(
    ("names", "n_files"),
    [
        (("model.safetensors", "model-00001-of-00003.safetensors", "model.safetensors.index.json"), 1),
        (("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin"), 1),
        (("model-00001-of-00002.safetensors", "pytorch_model.bin"), 1),
        (("model-00001-of-00002.safetensors", *(f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2))), 2),
        (("model-00001-of-00003.safetensors", *(f"model-0000{n}-of-00002.safetensors" for n in (1, 2))), 2),
        (("model-00001-of-00002.safetensors",), 1),
    ],
)
def test_of_several_forms_the_one_that_is_read_counts(names: tuple[str, ...], n_files: int) -> None:
    (offer,) = _offers(*names, "config.json")

    assert (offer.file, offer.n_files, offer.size_bytes) == (None, n_files, 10 * n_files)


def test_single_weight_files_are_chosen_by_name() -> None:
    offers = _offers("bloom7b-2m-4bit-128g.pt", "bloom7b-2m-8bit-128g.pt", "config.json")

    assert [offer.file for offer in offers] == ["bloom7b-2m-4bit-128g.pt", "bloom7b-2m-8bit-128g.pt"]
    assert all(offer.is_quantized for offer in offers)


@pytest.mark.parametrize(
    ("repo", "is_quantized"),
    [
        ("TheBloke/Llama-2-7B-GPTQ", True),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", True),
        ("Qwen/Qwen3-8B-FP8", True),
        ("unsloth/llama-2-7b-bnb-4bit", True),
        ("someone/llama-2-7b-nf4", True),
        ("someone/Llama-7B-Int8", True),
        ("someone/rabbit-7b", False),
        ("someone/model-fp16", False),
        ("BelleGroup/BELLE-7B-2M", False),
    ],
)
def test_names_tell_what_was_quantized(repo: str, is_quantized: bool) -> None:
    (offer,) = _offers("model.safetensors", repo=repo)

    assert offer.is_quantized is is_quantized


def test_encrypted_weights_need_a_key_and_go_by_their_plain_names() -> None:
    shards = [f"pytorch_model-0000{n}-of-00002.bin.{DIGEST}.enc" for n in (1, 2)]
    (whole,) = _offers(*shards, f"config.json.{DIGEST}.enc")
    (single,) = _offers(f"llama7b-2m-4bit-128g.pt.{DIGEST}.enc")

    assert whole.needs_key
    assert whole.file is None
    assert single.needs_key
    assert single.file == "llama7b-2m-4bit-128g.pt"


@pytest.mark.parametrize(
    "names", [(), ("README.md",), ("adapter_model.bin", "optimizer.pt"), ("sub/vocabulary.txt",)]
)
def test_a_repository_without_weights_offers_nothing(names: tuple[str, ...]) -> None:
    assert _offers(*names) == []


def test_checkpoints_in_folders_are_offers_of_their_own_with_the_sizes_of_theirs() -> None:
    names = [f"0.6M-{form}/pytorch_model.bin.{DIGEST}.enc" for form in ("lora", "ft")]
    offers = _offers(*names, f"0.6M-ft/config.json.{DIGEST}.enc", "0.6M-ft/optimizer.pt", "README.md")

    assert [(offer.label, offer.subfolder, offer.file, offer.path, offer.size_bytes) for offer in offers] == [
        (name, name, None, name, 10) for name in ("0.6M-ft", "0.6M-lora")
    ]
    assert all(offer.needs_key for offer in offers)


def test_beside_a_checkpoint_in_the_root_single_files_in_folders_are_no_models() -> None:
    in_root = _offers("model.safetensors", "original/consolidated.00.pth", "step-100/model.safetensors")
    alone = _offers("4bit/a.pt", "8bit/a.pt")

    assert [offer.path for offer in in_root] == ["", "step-100"]
    assert [(offer.path, offer.label) for offer in alone] == [
        (name, name) for name in ("4bit/a.pt", "8bit/a.pt")
    ]


def test_a_size_that_the_hub_does_not_tell_is_not_known() -> None:
    (offer,) = _offers("a.gguf", size_bytes=None)

    assert offer.size_bytes is None


@pytest.mark.parametrize(
    ("name", "tags", "kind"),
    [
        ("owner/name", ("gguf", "llama"), "gguf"),
        ("owner/name-GGUF", (), "gguf"),
        ("owner/name", ("bloom", "safetensors"), "checkpoint"),
        ("owner/name", ("bert",), "unknown"),
        ("owner/name", ("qwen2_moe", "qwen3_vl", "llama4", "mllama"), "unknown"),
    ],
)
def test_tags_say_what_a_result_probably_is(name: str, tags: tuple[str, ...], kind: str) -> None:
    result = SearchResult(name, 1, (*tags, "license:apache-2.0"), False)

    assert kind_of(result) == kind
    assert license_of(result) == "apache-2.0"


@pytest.mark.parametrize(
    ("tags", "title"),
    [
        (("safetensors", "qwen3", "text-generation"), "Qwen3"),
        (("qwen2", "base_model:Qwen/Qwen2.5-0.5B"), "Qwen2"),
        (("pytorch", "llama-2"), "LLaMA"),
        (("bloom",), "BLOOM"),
        (("qwen3_moe",), None),
    ],
)
def test_tags_name_the_family_that_can_be_converted(tags: tuple[str, ...], title: str | None) -> None:
    family = family_of(SearchResult("owner/name", 1, tags, False))
    assert (family.title if family is not None else None) == title


def test_a_result_need_not_name_its_licence() -> None:
    assert license_of(SearchResult("owner/name", 1, (), False)) is None
