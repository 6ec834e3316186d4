"""What a model can become, its memory, and which type is recommended on which machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.models.finding import load_catalog
from app.models.type_options import TypeOption, catalog_options, checkpoint_options, default_type
from builders.checkpoints import write_bloom, write_llama
from builders.gptq import write_gptq
from builders.qwen import write_qwen
from convert.detect import open_checkpoint
from convert.pipeline import convert
from convert.plan import output_size_bytes
from convert.recipes import TARGETS
from engine.gguf_header import read_gguf_header
from engine.memory import estimate, footprint
from engine.model_shape import read_model_shape
from engine.models.fit import Verdict
from engine.models.machine import Machine

LARGE = Machine(64 << 30, 60 << 30, 8, None, 35_000_000_000)
EIGHT_GB = Machine(8 << 30, 7 << 30, 4, None, 35_000_000_000)
SMALL = Machine(2 << 30, 1 << 30, 4, None, 35_000_000_000)


def by_name(options: tuple[TypeOption, ...]) -> dict[str, TypeOption]:
    return {option.name: option for option in options}


def test_on_a_machine_of_8_gb_the_7b_model_is_recommended_in_a_type_that_fits() -> None:
    architecture = load_catalog().architectures["bloom-7b1"]
    options = by_name(catalog_options(architecture, EIGHT_GB))
    assert [name for name, option in options.items() if option.is_recommended] == ["q4_k_m"]
    for name, option in options.items():
        assert option.size_bytes == architecture.gguf_bytes[name]
    eight_bits = options["q8_0"].fit
    assert eight_bits is not None
    assert (eight_bits.verdict, eight_bits.quantization) == (Verdict.NO, "q4_k_m")


def test_nothing_is_recommended_where_nothing_fits_and_the_smallest_is_chosen_to_begin_with() -> None:
    options = catalog_options(load_catalog().architectures["llama-13b"], SMALL)
    assert not any(option.is_recommended for option in options)
    assert default_type(options) == "q3_k_m"


def test_sizes_of_a_checkpoint_are_exact_and_its_memory_is_that_of_the_finished_file(tmp_path: Path) -> None:
    wide_heads = partial(write_qwen, head_dim=48)
    for number, write in enumerate((write_bloom, write_llama, wide_heads)):
        folder = tmp_path / str(number)
        write(folder)
        with open_checkpoint(folder) as checkpoint:
            options = by_name(checkpoint_options(checkpoint, LARGE))
            plan = checkpoint.plan("q8_0", checkpoint.prompt("auto"))
            assert list(options) == list(TARGETS)
            assert all(option.size_bytes == output_size_bytes(plan, name) for name, option in options.items())
            output = folder / "out.gguf"
            list(convert(plan, output))
        assert output.stat().st_size == options["q8_0"].size_bytes
        header = read_gguf_header(output)
        real = footprint(header, read_model_shape(header))
        fit = options["q8_0"].fit
        assert fit is not None
        need = estimate(real, fit.context_tokens)
        assert abs(fit.need.total - need.total) < 0.01 * need.total
        assert fit.need.kv_cache == need.kv_cache


def test_blocks_that_are_quantized_already_are_best_left_alone(tmp_path: Path) -> None:
    plain = write_llama(tmp_path / "plain", hidden=128)
    write_gptq(tmp_path / "llama7b-4bit-128g.pt", plain, group=64)
    with open_checkpoint(tmp_path / "llama7b-4bit-128g.pt", plain.folder) as checkpoint:
        options = by_name(checkpoint_options(checkpoint, LARGE))
    assert options["auto"].is_recommended
    assert default_type(tuple(options.values())) == "auto"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_machine_that_does_not_tell_its_memory_gets_the_usual_choice(is_known: bool) -> None:
    machine = LARGE if is_known else replace(LARGE, total_bytes=None, available_bytes=None)
    options = catalog_options(load_catalog().architectures["llama-7b"], machine)
    assert default_type(options) == "q4_k_m"
