"""The shipped catalog, and what a catalog must not say."""

from __future__ import annotations

import json
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import pytest

from convert.recipes import TARGETS, choose_type, read_traits
from engine.models.catalog import Architecture, Catalog, parse_catalog
from engine.models.errors import CatalogInvalid, EntryInvalid
from engine.models.user_entries import UserEntries, parse_source
from engine.native.kernels import row_size
from engine.prompt import PROMPT_FORMATS

GROUPS = ("belle", "small")
TEXT = files("assets").joinpath("catalog.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_catalog(TEXT)


def matrices(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """All tensors of the family, by the dimensions in the catalog."""
    n, ff = architecture.n_embd, architecture.n_ff
    tensors: dict[str, tuple[int, ...]] = {"token_embd.weight": (architecture.n_vocab, n)}
    tensors["output_norm.weight"] = (n,)
    gated = {f"attn_{name}.weight": (n, n) for name in ("q", "k", "v", "output")}
    gated |= {"ffn_gate.weight": (ff, n), "ffn_up.weight": (ff, n), "ffn_down.weight": (n, ff)}
    gated |= {"attn_norm.weight": (n,), "ffn_norm.weight": (n,)}
    plain = {"attn_qkv": 3 * n, "attn_output": n, "ffn_up": ff, "ffn_down": n}
    fused = {f"{name}.weight": (rows, ff if name == "ffn_down" else n) for name, rows in plain.items()}
    fused |= {f"{name}.bias": (rows,) for name, rows in plain.items()}
    fused |= {f"{norm}.{part}": (n,) for norm in ("attn_norm", "ffn_norm") for part in ("weight", "bias")}
    for layer in range(architecture.n_layers):
        one = gated if architecture.is_gated else fused
        tensors |= {f"blk.{layer}.{name}": shape for name, shape in one.items()}
    if architecture.is_gated:
        return tensors | {"output.weight": (architecture.n_vocab, n)}
    return tensors | {
        name: (n,) for name in ("token_embd_norm.weight", "token_embd_norm.bias", "output_norm.bias")
    }


def test_every_published_repository_is_there_once(catalog: Catalog) -> None:
    repos = [model.repo for model in catalog.models]

    assert len(repos) == len(set(repos)) == 23
    assert sum(model.group == "belle" for model in catalog.models) == 16
    assert catalog.models[0].id == "belle-7b-2m"
    assert all(model.prompt_format in PROMPT_FORMATS for model in catalog.models)


def test_sizes_and_parameters_are_those_of_our_recipes(catalog: Catalog) -> None:
    """The numbers in the file are computed, not copied from somewhere."""
    of_belle = [each for each in catalog.architectures.values() if each.gguf_bytes]
    assert len(of_belle) == 6
    for architecture in of_belle:
        kind = "llama" if architecture.is_gated else "bloom"
        tensors = matrices(architecture)
        keys: dict[str, object] = {
            f"{kind}.block_count": architecture.n_layers,
            f"{kind}.attention.head_count": architecture.n_heads,
            f"{kind}.attention.head_count_kv": architecture.n_heads,
        }
        traits = read_traits(kind, keys, list(tensors))
        assert architecture.n_parameters == sum(map(prod, tensors.values()))
        for target, size_bytes in architecture.gguf_bytes.items():
            types = {name: choose_type(TARGETS[target], name, tensors[name], traits) for name in tensors}
            rows = [prod(tensors[name][:-1]) * row_size(types[name], tensors[name][-1]) for name in tensors]
            assert size_bytes == sum(rows), (architecture.name, target)


def test_smaller_models_have_the_parameters_that_their_dimensions_make(catalog: Catalog) -> None:
    """Computed from what their config.json says; each has been published with just so many."""
    for model in catalog.models:
        shape = catalog.architecture(model)
        if model.group != "small" or shape is None:  # not all of its dimensions were seen
            continue
        assert shape.n_kv_heads is not None
        assert shape.head_width is not None
        n, ff, head = shape.n_embd, shape.n_ff, shape.head_width
        queries, keys = shape.n_heads * head, shape.n_kv_heads * head
        layer = 2 * n * queries + 2 * n * keys + 3 * n * ff + 2 * n
        if shape.name.startswith("qwen3"):
            layer += 2 * head  # norms of queries and keys
        if shape.name.startswith("qwen2.5"):
            layer += queries + 2 * keys  # biases
        n_embeddings = shape.n_vocab * n * (1 if shape.is_tied else 2)
        assert shape.n_parameters == shape.n_layers * layer + n_embeddings + n, model.id


def test_smaller_models_are_open_known_by_their_makers_and_of_four_billion_at_most(catalog: Catalog) -> None:
    small = [model for model in catalog.models if model.group == "small"]

    assert len(small) >= 6
    for model in small:
        shape = catalog.architecture(model)
        assert (model.form, model.license, model.prompt_format) == ("gguf", "apache-2.0", "template")
        assert model.repo.partition("/")[0] in ("Qwen", "ibm-granite", "openbmb")
        assert not model.needs
        for item in model.files or ():
            assert item.name.lower().endswith(f"{item.variant}.gguf")
            if shape is None:
                continue
            assert 0.45e9 < shape.n_parameters < 4.1e9
            # Bits for each weight; of a small model much is its embedding, which is kept finer, or twice.
            least, most = {"q4_k_m": (4.8, 8.0), "q8_0": (8.5, 8.6)}[item.variant]
            if item.about_bytes is not None:
                assert least <= item.about_bytes * 8 / shape.n_parameters <= most, item.name
    ranks = {group: [model.rank for model in catalog.models if model.group == group] for group in GROUPS}
    last_of_belle = max(rank for rank in ranks["belle"] if rank is not None)
    assert all(rank is not None and rank > last_of_belle for rank in ranks["small"])


def test_grouped_queries_keep_fewer_keys_and_values(catalog: Catalog) -> None:
    shape = catalog.architectures["qwen3-1.7b"]

    assert shape.footprint("q4_k_m") is None
    footprint = shape.footprint_of(1_830_000_000)
    assert footprint.weights == 1_830_000_000
    assert footprint.shape.kv_width == 2 * 28 * 8 * 128
    assert catalog.architectures["llama-7b"].footprint_of(1).shape.kv_width == 2 * 32 * 4096


def test_what_was_not_seen_is_not_known(catalog: Catalog) -> None:
    """Pages show rounded sizes: only those in bytes are exact."""
    model = catalog.find("BelleGroup/BELLE-7B-2M")

    assert model is not None
    weights, config = model.file("model.safetensors"), model.file("config.json")
    assert weights is not None
    assert (weights.size_bytes, weights.about_bytes, weights.sha256) == (None, 28_300_000_000, None)
    assert config is not None
    assert config.size_bytes == 742
    assert all(item.mirrors.modelscope is None for item in catalog.models)


def test_the_name_of_an_encrypted_file_tells_the_plain_hash(catalog: Catalog) -> None:
    model = catalog.find("belle-llama-7b-2m-enc")

    assert model is not None
    plain = [item.plain_sha256 for item in model.files or ()]
    assert "166879223b7504f1632d72b1577d57bceaa8fdeee1857c61119e575c50a4aae5" in plain
    assert [need.kind for need in model.needs] == ["key"]


def test_every_usable_model_has_a_way_to_its_tokenizer_and_configuration(catalog: Catalog) -> None:
    """Its own, or another repository's that has both; one key opens both of them."""
    for model in catalog.models:
        if not model.can_be_used or model.form == "gguf":
            continue
        roles = {item.role for item in model.files or ()}
        owners = [need.name for need in model.needs if need.kind == "tokenizer"]
        keys = {need.name for need in model.needs if need.kind == "key"}
        assert bool(keys) == model.form.startswith("xor"), model.id
        if not owners:
            # Transformers' own folders hold a configuration, also where the page's list was not seen whole.
            assert model.form in ("hf", "xor-hf") or {"tokenizer", "config"} <= roles, model.id
            assert model.files is None or "tokenizer" in roles, model.id
        for name in owners:
            owner = catalog.find(name)
            assert owner is not None, model.id
            assert {"tokenizer", "config"} <= {item.role for item in owner.files or ()}, model.id
            assert owner.architecture == model.architecture, model.id
            assert {need.name for need in owner.needs} <= keys, model.id


def test_one_variant_is_enough(catalog: Catalog) -> None:
    model = catalog.find("belle-7b-gptq")

    assert model is not None
    assert model.variants[0] == "2m-4bit"
    assert model.about_bytes() == 7_350_000_000
    assert model.about_bytes("2m-8bit") == 10_400_000_000


@pytest.mark.parametrize(
    ("query", "expected"),
    [("gguf", "belle-llama2-13b-chat-gguf"), ("中文 130", None), ("apache gptq 4", "belle-bloom-gptq-4bit")],
)
def test_search_needs_every_word(catalog: Catalog, query: str, expected: str | None) -> None:
    found = [model.id for model in catalog.search(query)]

    assert (expected in found) if expected else (found == [])


def broken(*path: str | int, value: Any) -> str:
    """The catalog with one value replaced."""
    content = json.loads(TEXT)
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("", ""),
        ("[]", ""),
        ("{}", "version"),
        (broken("version", value=2), "version"),
        (broken("architectures", value=[]), "architectures"),
        (broken("architectures", "bloom-7b1", "n_layers", value="30"), "architectures.bloom-7b1.n_layers"),
        (broken("architectures", "bloom-7b1", "n_vocab", value=0), "architectures"),
        (broken("architectures", "bloom-7b1", "gguf_bytes", value={"q4_0": -1}), ".gguf_bytes"),
        (broken("models", 0, "form", value="zip"), "models[0].form"),
        (broken("models", 1, "id", value="BELLE-7b-2m"), "models[1].id"),
        (broken("models", 0, "repo", value="x"), "models[0].repo"),
        (broken("models", 0, "architecture", value="gpt"), "models[0].architecture"),
        (broken("models", 0, "files", 0, "name", value="../x"), "models[0].files[0].name"),
        (broken("models", 0, "files", 0, "size_bytes", value=1.5), "models[0].files[0].size_bytes"),
        (broken("models", 0, "files", 0, "sha256", value="ff"), "models[0].files[0].sha256"),
        (broken("models", 0, "about", value={"zh": "x"}), "models[0].about.en"),
    ],
)
def test_a_wrong_value_is_named(text: str, location: str) -> None:
    with pytest.raises(CatalogInvalid) as caught:
        parse_catalog(text)

    assert caught.value.location.endswith(location)


@pytest.mark.parametrize(
    ("source", "kind", "repo", "file"),
    [
        ("owner/name", "hub", "owner/name", None),
        ("owner/name/sub/模型.gguf", "hub", "owner/name", "sub/模型.gguf"),
        ("https://example.org/a/%E6%A8%A1.gguf?x=1", "address", None, None),
        ("~/models/x.gguf", "path", None, None),
        ("~no-such-person-here/x", "path", None, None),
        ("/models/x.gguf", "path", None, None),
    ],
)
def test_sources_of_own_entries(source: str, kind: str, repo: str | None, file: str | None) -> None:
    entry = parse_source(source)

    assert (entry.kind, entry.repo, entry.file) == (kind, repo, file)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x",
        "http://example.org/x.gguf",
        "ftp://a/b",
        "https://user@example.org/x",
        "https://[::1/x.gguf",
        "https://example.org:port/x.gguf",
        "a/../b",
        "a/b/../c",
    ],
)
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(EntryInvalid):
        parse_source(source)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/%E6%A8%A1.gguf", "模"),
        ("a/%5C..%5C..%5Cx.gguf", "_.._.._x"),
        ("a/C%3A%5Cx%3Ay.gguf", "C__x_y"),
        ("a%2F..%2Fb%0A.gguf", "b_"),
    ],
)
def test_an_address_names_a_file_in_the_models_folder_on_every_system(path: str, name: str) -> None:
    assert parse_source(f"https://example.org/{path}").name == name


def test_own_entries_are_kept_with_what_other_versions_wrote(tmp_path: Path) -> None:
    path = tmp_path / "数据" / "entries.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"entries": [{"from": "the future"}], "more": 1}))
    entries = UserEntries(path)

    entries.add(parse_source("owner/name"))
    entries.add(parse_source("owner/other"))
    entries.add(parse_source("owner/name"))

    assert [entry.source for entry in entries.all()] == ["owner/other", "owner/name"]
    assert entries.remove("owner/other")
    assert not entries.remove("owner/other")
    content = json.loads(path.read_text())
    assert content["more"] == 1
    assert {"from": "the future"} in content["entries"]
