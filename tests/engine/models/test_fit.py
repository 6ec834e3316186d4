"""What is chosen and said for machines of several sizes, and contexts that are found without searching."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import pytest

from builders.gguf_models import write_model
from engine import memory
from engine.errors import NotEnoughMemory
from engine.gguf_header import read_gguf_header
from engine.memory import Footprint, estimate, footprint, largest_context, require_memory
from engine.model_shape import read_model_shape
from engine.models.catalog import parse_catalog
from engine.models.fit import Verdict, choose, default_context, judge, judge_best
from engine.models.machine import Machine, look_at_machine

GB = 1_000_000_000
CATALOG = parse_catalog(files("assets").joinpath("catalog.json").read_text(encoding="utf-8"))


def machine(total_gb: float, available_gb: float, bandwidth_gb: int = 35) -> Machine:
    return Machine(int(total_gb * GB), int(available_gb * GB), 4, None, bandwidth_gb * GB)


def family(name: str) -> dict[str, Footprint]:
    architecture = CATALOG.architectures[name]
    return {
        target: found
        for target in architecture.gguf_bytes
        if (found := architecture.footprint(target)) is not None
    }


BELLE = family("bloom-7b1")


@pytest.mark.parametrize(
    ("total_gb", "available_gb", "quantization", "context_tokens"),
    [(32, 28, "q4_k_m", 2048), (8.6, 6.2, "q4_k_m", 2048), (8.6, 5.3, "q4_k_m", 1024), (8.6, 4.6, None, 0)],
)
def test_what_is_chosen_leaves_room_for_the_system(
    total_gb: float, available_gb: float, quantization: str | None, context_tokens: int
) -> None:
    here = machine(total_gb, available_gb)

    choice = choose(BELLE, here)

    assert (choice.quantization if choice else None) == quantization
    if choice is not None:
        assert choice.context_tokens >= context_tokens
        assert choice.fit.need.total <= min(available_gb, 0.75 * total_gb) * GB


def test_a_machine_of_eight_gigabytes_gets_a_model_that_does_not_swap() -> None:
    """Even when nothing else runs: a quarter of the memory stays free."""
    choice = choose(BELLE, machine(8.0, 7.9))

    assert choice is not None
    assert choice.fit.need.total <= 6 * GB


def test_a_smaller_quantization_is_taken_before_the_model_is_given_up() -> None:
    names = []
    for tenths in range(70, 40, -1):
        choice = choose(BELLE, machine(16, tenths / 10))
        names.append(choice.quantization if choice else None)

    assert list(dict.fromkeys(names)) == ["q4_k_m", "q4_k_s", "iq4_xs", "q3_k_m", None]


def test_what_does_not_fit_is_told_with_numbers_and_a_way_out() -> None:
    here = machine(16, 5.4)

    fit = judge(BELLE["q4_k_m"], here, 2048)

    assert fit.verdict is Verdict.NO
    assert fit.need.total > (fit.free_bytes or 0) == int(5.4 * GB)
    assert fit.smaller_context is not None
    assert judge(BELLE["q4_k_m"], here, fit.smaller_context).verdict is not Verdict.NO
    assert judge(BELLE["q4_k_m"], machine(16, 3), 2048).smaller_context is None


def test_the_verdict_of_a_family_names_what_to_take() -> None:
    best = judge_best(BELLE, machine(16, 5.0))

    assert best is not None
    assert best.verdict is Verdict.WELL
    assert best.quantization in BELLE
    nothing = judge_best(BELLE, machine(4, 2))
    assert nothing is not None
    assert nothing.verdict is Verdict.NO
    assert judge_best({}, machine(4, 2)) is None


def test_little_bandwidth_is_slow() -> None:
    assert judge(BELLE["q4_k_m"], machine(32, 30, bandwidth_gb=10)).verdict is Verdict.SLOWLY
    assert judge(BELLE["q4_k_m"], machine(32, 30, bandwidth_gb=35)).verdict is Verdict.WELL


def test_a_shared_graphics_memory_is_a_limit() -> None:
    here = replace(machine(8.6, 7), gpu_bytes=5 * GB)

    assert judge(BELLE["q4_k_m"], here, 2048).verdict is Verdict.NO


def test_an_unknown_machine_refuses_nothing() -> None:
    unknown = Machine(None, None, 1, None, 35 * GB)

    assert judge(BELLE["q8_0"], unknown).verdict is Verdict.WELL
    assert default_context(BELLE["q8_0"], unknown) == 2048


def test_this_machine_is_described() -> None:
    here = look_at_machine()

    assert 0 < (here.available_bytes or 0) <= (here.total_bytes or 0)
    assert here.n_cores >= 1
    assert here.bandwidth > GB


def test_the_largest_context_is_exactly_the_one_that_fits() -> None:
    model = BELLE["q4_k_m"]
    for tenths in range(48, 58):
        available = tenths * GB // 10
        found = largest_context(model, available)
        searched = [n for n in range(512, 2049, 256) if estimate(model, n).total <= available]
        assert found == max(searched, default=None)


def test_no_context_is_suggested_beyond_the_trained_one() -> None:
    assert largest_context(BELLE["q4_k_m"], 10**15) == 2048


@pytest.mark.parametrize("context_tokens", [99_999_999_999_999, 1 << 62])
def test_an_absurd_context_is_refused_at_once(
    context_tokens: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = read_gguf_header(write_model(tmp_path_factory.mktemp("m") / "m.gguf"))
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * GB)

    with pytest.raises(NotEnoughMemory) as caught:
        require_memory(header, read_model_shape(header), context_tokens, 512, 1)

    assert caught.value.smaller_context_tokens == 512


def test_a_header_and_the_catalog_give_the_same_estimate(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both describe a model by the same footprint."""
    header = read_gguf_header(write_model(tmp_path_factory.mktemp("m") / "m.gguf"))
    model = footprint(header, read_model_shape(header))

    assert not model.is_gated
    assert model.weights == header.tensor_bytes
    assert estimate(model, 512).kv_cache == 512 * model.shape.kv_width * 2
