"""What a model can become: for every type its size, the memory it takes, and which to take on this machine.

The same for a model in the catalog, whose dimensions are known, and for a checkpoint on this disk, whose
sizes the converter's plan tells exactly. Knows no screen; reads no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.plan import Plan, output_size_bytes
from convert.recipes import AUTO, TARGETS
from engine.memory import Footprint
from engine.model_shape import ModelShape
from engine.models.catalog import Architecture
from engine.models.fit import Fit, Verdict, choose, judge
from engine.models.machine import Machine

if TYPE_CHECKING:
    from convert.checkpoint import Checkpoint

OFFERED = (AUTO, "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_k_s", "iq4_xs", "q3_k_m")
"""What is shown at first; the other types only on request."""


@dataclass(frozen=True, slots=True)
class TypeOption:
    """A type to take the model as. name: one of `convert.recipes.TARGETS`, or `AUTO`.

    size_bytes: of the file. fit: on this machine, None where that is not known. is_recommended: of at most
    one option; of none where nothing fits.
    """

    name: str
    size_bytes: int
    fit: Fit | None
    is_recommended: bool

    @property
    def is_offered(self) -> bool:
        """Whether it is shown at first."""
        return self.is_recommended or self.name in OFFERED


def catalog_options(architecture: Architecture, machine: Machine) -> tuple[TypeOption, ...]:
    """The types of a catalog's model whose sizes are known, best quality first."""
    found = ((name, architecture.footprint(name)) for name in TARGETS)
    footprints = {name: footprint for name, footprint in found if footprint is not None}
    sizes = {name: footprint.weights for name, footprint in footprints.items()}
    return _options(footprints, sizes, machine)


def checkpoint_options(checkpoint: Checkpoint, machine: Machine) -> tuple[TypeOption, ...]:
    """The types that an opened checkpoint can be converted to, best quality first.

    `AUTO` is among them where it keeps blocks that were quantized already, and then it is recommended before
    any other type, since quantizing twice only loses.
    """
    plan = checkpoint.plan(AUTO, checkpoint.prompt("auto"))
    names = list(TARGETS) if plan.target.name in TARGETS else [AUTO, *TARGETS]
    sizes = {name: output_size_bytes(plan, name) for name in names}
    n_header_bytes = len(plan.header)
    footprints = {name: _footprint(plan, size - n_header_bytes) for name, size in sizes.items()}
    is_quantized = any(tensor.quantization for tensor in checkpoint.mapped)
    return _options(footprints, sizes, machine, preferred=plan.target.name if is_quantized else None)


def default_type(options: Sequence[TypeOption]) -> str:
    """The name of the recommended option; where nothing fits, of the smallest that is offered."""
    for option in options:
        if option.is_recommended:
            return option.name
    offered = [option for option in options if option.is_offered] or list(options)
    return min(offered, key=lambda option: option.size_bytes).name


def _options(
    footprints: dict[str, Footprint], sizes: dict[str, int], machine: Machine, preferred: str | None = None
) -> tuple[TypeOption, ...]:
    fits = {name: judge(footprint, machine) for name, footprint in footprints.items()}
    recommended = _recommended(footprints, fits, machine, preferred)
    options = []
    for name, fit in fits.items():
        if fit.verdict is Verdict.NO and recommended is not None and sizes[recommended] < sizes[name]:
            fit = replace(fit, quantization=recommended)
        options.append(TypeOption(name, sizes[name], fit, name == recommended))
    return tuple(options)


def _recommended(
    footprints: dict[str, Footprint], fits: dict[str, Fit], machine: Machine, preferred: str | None
) -> str | None:
    if preferred is not None and fits[preferred].verdict is not Verdict.NO:
        return preferred
    choice = choose(footprints, machine)
    return choice.quantization if choice is not None else None


def _footprint(plan: Plan, weights_bytes: int) -> Footprint:
    """What the result takes in memory, from the keys that will be in its header."""

    def count(key: str, default: int = 1) -> int:
        value = plan.metadata.get(f"{plan.architecture}.{key}", default)
        return value if isinstance(value, int) else default

    n_embd, n_heads, n_layers = (
        count(key) for key in ("embedding_length", "attention.head_count", "block_count")
    )
    n_kv_heads = count("attention.head_count_kv", n_heads)
    head_width = count("attention.key_length", n_embd // n_heads)
    shape = ModelShape(
        n_layers=n_layers,
        n_embd=n_embd,
        n_ff=count("feed_forward_length", 4 * n_embd),
        n_heads=n_heads,
        n_vocab=len(plan.vocabulary.tokens),
        kv_width=2 * n_layers * n_kv_heads * head_width,
        trained_context_tokens=count("context_length", 2048),
    )
    return Footprint(
        shape,
        weights_bytes,
        is_gated=any(".ffn_gate" in tensor.mapped.name for tensor in plan.tensors),
        n_merges=len(plan.vocabulary.merges or ()),
    )
