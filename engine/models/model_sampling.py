"""How a model itself wants its tokens chosen: by its file, by BELLE's card, or by what its makers published.

    model = read_model_sampling(read_gguf_header(path), published)
    resolve_for(model, conversation=PartialSampling(temperature=0.2)).sampling

What the file says are llama.cpp's `general.sampling.*` keys (gguf-py/gguf/constants.py), read as llama.cpp
reads them (common/common.cpp): numbers of any type, or their text. What is no number, or out of its range,
says nothing.

The order of the samplers belongs to the values. BELLE's card and the makers chose theirs with transformers
or vLLM, which divide by the temperature first; llama.cpp's defaults, and files with its keys, were chosen for
llama.cpp, which does so last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from engine.gguf_header import GgufHeader, Value
from engine.models.published_sampling import PublishedSampling
from engine.partial_sampling import NOTHING, PartialSampling, ResolvedSampling, Source, resolve
from engine.prompt import BELLE_FORMATS, detect_format
from engine.sampling import is_in_range
from engine.types import Sampler

TEMPERATURE_FIRST: tuple[Sampler, ...] = ("penalties", "temperature", "top_k", "top_p", "min_p", "xtc")
"""The order of transformers' `generate`."""

BELLE_CARD = PartialSampling(
    temperature=0.35,
    top_k=30,
    top_p=0.85,
    min_p=0.0,
    repetition_penalty=1.2,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    penalty_last_n=-1,
    max_tokens=512,
    sequence=TEMPERATURE_FIRST,
)
"""The `generate` call of the BELLE-7B model card. Its 200 new tokens cut many answers; without a limit,
though, the penalty over the whole context sooner or later leaves no good word, and the model rambles."""


@dataclass(frozen=True, slots=True)
class ModelSampling:
    """What is known of one model. maker_without_thought: in maker's place while the model does not think."""

    file: PartialSampling = NOTHING
    belle: PartialSampling = NOTHING
    maker: PartialSampling = NOTHING
    maker_without_thought: PartialSampling | None = None


def read_model_sampling(
    header: GgufHeader, published: PublishedSampling, prompt_format: str | None = None
) -> ModelSampling:
    """What the model behind `header` wants; prompt_format: the one chosen for it, None the header's own."""
    file = _file_values(header.metadata)
    template = header.text("tokenizer.chat_template")
    if (prompt_format or detect_format(header.architecture, template)) in BELLE_FORMATS:
        return ModelSampling(file, belle=BELLE_CARD)
    family = published.find(header)
    if family is None:
        return ModelSampling(file)
    without_thought = family.without_thought
    return ModelSampling(
        file,
        maker=_as_published(family.values),
        maker_without_thought=None if without_thought is None else _as_published(without_thought),
    )


def resolve_for(
    model: ModelSampling,
    *,
    conversation: PartialSampling = NOTHING,
    persona: PartialSampling = NOTHING,
    own: PartialSampling = NOTHING,
) -> ResolvedSampling:
    """Settle every value. own: what a person set for this model."""
    choices = [(Source.CONVERSATION, conversation), (Source.PERSONA, persona), (Source.OWN, own)]
    maker = model.maker
    if model.maker_without_thought is not None and resolve(choices).sampling.thinking == "off":
        maker = model.maker_without_thought
    models = [(Source.FILE, model.file), (Source.BELLE, model.belle), (Source.MAKER, maker)]
    return resolve([*choices, *models])


def _as_published(values: PartialSampling) -> PartialSampling:
    return replace(values, sequence=values.sequence or TEMPERATURE_FIRST)


def _file_values(metadata: Mapping[str, Value]) -> PartialSampling:
    sequence = metadata.get("general.sampling.sequence")
    return PartialSampling(
        temperature=_number(metadata, "temp", "temperature", lambda value: max(value, 0.0)),
        top_k=_whole(metadata, "top_k", "top_k", lambda value: max(value, 0.0)),
        top_p=_number(metadata, "top_p", "top_p"),
        min_p=_number(metadata, "min_p", "min_p"),
        repetition_penalty=_number(metadata, "penalty_repeat", "repetition_penalty"),
        penalty_last_n=_whole(metadata, "penalty_last_n", "penalty_last_n"),
        xtc_probability=_number(metadata, "xtc_probability", "xtc_probability"),
        xtc_threshold=_number(metadata, "xtc_threshold", "xtc_threshold"),
        mirostat=_whole(metadata, "mirostat", "mirostat"),
        mirostat_tau=_number(metadata, "mirostat_tau", "mirostat_tau"),
        mirostat_eta=_number(metadata, "mirostat_eta", "mirostat_eta"),
        sequence=_sequence(sequence) if isinstance(sequence, str) else None,
    )


def _as_it_is(value: float) -> float:
    return value


def _number(
    metadata: Mapping[str, Value],
    key: str,
    setting: str,
    mend: Callable[[float], float] = _as_it_is,
) -> float | None:
    """The number at `general.sampling.<key>` for a `setting` of `Sampling`; `mend` is for llama.cpp's
    values beyond the range, which turn something off.
    """
    value = metadata.get(f"general.sampling.{key}")
    if isinstance(value, tuple) or value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    # A float32 in the file: 0.95, and not 0.949999988079071.
    number = mend(float(f"{number:.6g}"))
    return number if is_in_range(setting, number) else None


def _whole(
    metadata: Mapping[str, Value],
    key: str,
    setting: str,
    mend: Callable[[float], float] = _as_it_is,
) -> int | None:
    number = _number(metadata, key, setting, mend)
    return None if number is None else int(number)


_SAMPLERS: Mapping[str, Sampler | None] = {
    "penalties": "penalties",
    "topk": "top_k",
    "topp": "top_p",
    "nucleus": "top_p",
    "minp": "min_p",
    "xtc": "xtc",
    "temperature": "temperature",
    "temp": "temperature",
    "dry": None,
    "typp": None,
    "typ": None,
    "topnsigma": None,
    "infill": None,
    "adaptivep": None,
}
"""llama.cpp's names without `-` and `_`; None for those that its defaults leave off and no key turns on."""

_LETTERS: Mapping[str, Sampler | None] = {
    "e": "penalties",
    "k": "top_k",
    "p": "top_p",
    "m": "min_p",
    "x": "xtc",
    "t": "temperature",
    "d": None,
    "y": None,
    "s": None,
    "i": None,
    "a": None,
}
"""The same samplers as llama.cpp's `--sampling-seq` writes them."""


def _sequence(text: str) -> tuple[Sampler, ...] | None:
    """The samplers that `general.sampling.sequence` names, separated by semicolons, each once; None where it
    names none. A text of llama.cpp's letters alone is meant as such, though llama.cpp reads names only here.
    """
    names = (name.strip().lower().replace("-", "").replace("_", "") for name in text.split(";"))
    found = [_SAMPLERS[name] for name in names if name in _SAMPLERS]
    if not found and all(letter in _LETTERS for letter in text.strip()):
        found = [_LETTERS[letter] for letter in text.strip()]
    if not found:
        return None
    # `dry;typ_p` turns all others off in llama.cpp, too: an empty sequence, where chance alone decides.
    return tuple(dict.fromkeys(sampler for sampler in found if sampler is not None))
