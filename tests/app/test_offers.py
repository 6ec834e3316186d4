"""What the catalog's models mean for a machine, which one is recommended, and what is shown of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.i18n import Texts
from app.models.finding import load_catalog
from app.models.get_texts import disk_sentence, is_disk_short, none_fits_text, sizes_sentence, sizes_text
from app.models.offers import (
    CatalogFilter,
    Offer,
    Option,
    lightest,
    make_offers,
    recommend,
    smaller_download,
)
from convert.i18n import LANGUAGES, Language
from engine.models.fit import Verdict
from engine.models.machine import Machine

GB = 1_000_000_000
CATALOG = load_catalog()


def _machine(total_gb: float, available_gb: float) -> Machine:
    return Machine(int(total_gb * GB), int(available_gb * GB), 4, None, 35 * GB)


def _offers(total_gb: float = 32, available_gb: float = 28) -> dict[str, Offer]:
    return {offer.model.id: offer for offer in make_offers(CATALOG, _machine(total_gb, available_gb))}


def test_every_model_of_the_catalog_has_an_offer_in_its_order() -> None:
    assert list(_offers()) == [model.id for model in CATALOG.models]


def test_the_first_choice_is_the_best_ranked_model_without_a_key() -> None:
    offer = recommend(_offers().values())

    assert offer is not None
    assert (offer.model.id, offer.chosen.name) == ("belle-7b-2m", "q4_k_m")


def test_less_memory_leads_to_a_smaller_type() -> None:
    offer = recommend(_offers(8, 4.8).values())

    assert offer is not None
    assert offer.model.id == "belle-7b-2m"
    assert offer.chosen.name != "q4_k_m"
    assert offer.fit is not None
    assert offer.fit.need.total <= 4.8 * GB


@pytest.mark.parametrize(
    ("total_gb", "available_gb", "expected"),
    [
        (8, 4, "qwen3-4b"),
        (4, 3, "qwen3-4b"),
        (4, 2.5, "qwen3-1.7b"),
        (4, 1.8, "minicpm5-1b"),
        (2, 1, "minicpm5-1b"),
        (1, 0.6, "qwen2.5-0.5b"),
    ],
)
def test_where_belle_does_not_fit_a_smaller_model_is_recommended(
    total_gb: float, available_gb: float, expected: str
) -> None:
    offer = recommend(_offers(total_gb, available_gb).values())

    assert offer is not None
    assert offer.model.id == expected
    assert offer.model.license == "apache-2.0"
    assert offer.fit is not None
    assert offer.fit.need.total <= available_gb * GB
    assert offer.chosen.download_bytes == offer.chosen.result_bytes
    assert offer.chosen_type == offer.chosen.name


def test_a_model_whose_size_is_not_known_has_no_verdict_and_can_be_had() -> None:
    offer = _offers()["granite-4.0-micro"]
    unknown = offer.option("q8_0")

    assert (unknown.download_bytes, unknown.fit) == (None, None)
    assert offer.chosen.name == "q4_k_m"


def test_nothing_is_recommended_that_does_not_fit_and_the_lightest_says_what_is_missing() -> None:
    offers = _offers(1, 0.3).values()

    assert recommend(offers) is None
    offer = lightest(offers)
    assert offer is not None
    text = none_fits_text(offer, Texts("en"))
    assert offer.model.name in text
    assert "300 MB are available" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_known_model_is_a_sentence_too(language: Language) -> None:
    assert none_fits_text(None, Texts(language))


def test_a_model_that_needs_a_key_is_not_recommended_however_good() -> None:
    offers = [
        replace(offer, model=replace(offer.model, rank=0)) if offer.key else offer
        for offer in _offers().values()
    ]

    offer = recommend(offers)

    assert offer is not None
    assert offer.key is None


def test_the_same_model_as_a_smaller_download_is_known() -> None:
    offers = _offers()

    smaller = smaller_download(offers["belle-7b-2m"], offers.values())

    assert smaller is not None
    assert smaller.model.id == "belle-bloom-gptq-4bit"
    assert smaller_download(smaller, offers.values()) is None


def test_checkpoints_are_offered_in_every_type_whose_size_is_known() -> None:
    offer = _offers()["belle-7b-2m"]
    architecture = CATALOG.architecture(offer.model)

    assert architecture is not None
    assert {option.name: option.result_bytes for option in offer.options} == dict(architecture.gguf_bytes)
    assert {option.download_bytes for option in offer.options} == {offer.model.about_bytes()}


def test_quantized_models_are_offered_by_variant_and_keep_about_their_bits() -> None:
    offer = _offers()["belle-7b-gptq"]
    four, eight = offer.option("2m-4bit"), offer.option("2m-8bit")

    assert [option.name for option in offer.options] == list(offer.model.variants)
    assert four.is_estimate
    assert four.result_bytes is not None
    assert eight.result_bytes is not None
    assert 4.5 * GB < four.result_bytes < 5.2 * GB
    assert 7 * GB < eight.result_bytes < 8 * GB
    assert offer.tokenizer_repo == "BelleGroup/BELLE-7B-2M"


def test_ready_ggufs_are_kept_as_they_are_and_a_variant_that_fits_is_chosen() -> None:
    offer = _offers(32, 20)["belle-llama2-13b-chat-gguf"]

    assert offer.chosen.name == "q4_0"
    assert offer.chosen.download_bytes == offer.chosen.result_bytes
    large = offer.option("f16").fit
    assert large is not None
    assert large.verdict is Verdict.NO


def test_the_private_container_can_neither_be_had_nor_fits() -> None:
    offer = _offers()["chatbelle-int4"]

    assert not offer.fits
    assert offer.fit is None


def test_families_are_those_that_people_tell_apart() -> None:
    offers = _offers()

    assert offers["belle-7b-2m"].family == "BLOOM"
    assert offers["belle-llama2-13b-chat-gguf"].family == "LLaMA"
    assert offers["belle-llama-ext-7b"].family == "LLaMA-EXT"
    assert offers["belle-on-open-datasets"].family == "LLaMA-EXT"
    small = {offer.model.id for offer in offers.values() if offer.family == "small"}
    assert small == {model.id for model in CATALOG.models if model.group == "small"}
    assert len(small) >= 6


def test_filters_leave_out_what_is_not_asked_for() -> None:
    offers = tuple(_offers(16, 8).values())

    def shown(wanted: CatalogFilter) -> list[Offer]:
        return list(wanted.apply(offers, CATALOG))

    assert shown(CatalogFilter()) == list(offers)
    assert all(offer.fits for offer in shown(CatalogFilter(fits=True)))
    assert all(offer.key is None for offer in shown(CatalogFilter(needs_no_key=True)))
    assert {offer.family for offer in shown(CatalogFilter(families=("BLOOM",)))} == {"BLOOM"}
    both = shown(CatalogFilter(families=("LLaMA",), needs_no_key=True, text="gguf"))
    assert [offer.model.id for offer in both] == ["belle-llama2-13b-chat-gguf"]
    assert shown(CatalogFilter(text="没有这样的模型")) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "option",
    [
        Option("", None, None),
        Option("", None, GB),
        Option("", GB, None),
        Option("", GB, GB),
        Option("", 3 * GB, GB),
        Option("", 3 * GB, GB, is_estimate=True),
    ],
)
def test_sizes_are_said_as_far_as_they_are_known(option: Option, language: Language) -> None:
    texts = Texts(language)

    for text in (sizes_text(option, texts), sizes_sentence(option, texts)):
        assert text
        for size in {option.download_bytes, option.result_bytes} - {None}:
            assert f"{(size or 0) / GB:.2f} GB" in text


def test_a_full_disk_is_told_with_its_numbers() -> None:
    option, texts = Option("", 28 * GB, 5 * GB), Texts("en")

    assert is_disk_short(option, 4 * GB)
    assert "5.00 GB" in disk_sentence(option, 4 * GB, texts)
    assert not is_disk_short(option, 6 * GB)
    assert "6.00 GB" in disk_sentence(option, 6 * GB, texts)
    assert disk_sentence(option, None, texts) == ""
    assert disk_sentence(Option(""), GB, texts) == ""


@pytest.mark.parametrize(
    ("total_gb", "available_gb", "expected"),
    [(3, 1.2, "minicpm5-1b"), (4, 1.8, "minicpm5-1b"), (4, 2.6, "qwen3-1.7b"), (16, 9, "qwen3-4b")],
)
def test_a_phone_is_offered_what_fits_it_and_needs_no_conversion(
    total_gb: float, available_gb: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLET_PLATFORM", "android")
    machine = Machine(int(total_gb * GB), int(available_gb * GB), 4, None, 20 * GB)

    offer = recommend(make_offers(CATALOG, machine))

    assert offer is not None
    assert offer.model.id == expected
    assert offer.fit is not None
    assert offer.fit.verdict is Verdict.WELL
    assert offer.fit.context_tokens == 2048
    assert offer.fit.need.total <= available_gb * GB
