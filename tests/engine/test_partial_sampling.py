"""How values of several places become one set, each by itself."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from engine.errors import InvalidSampling
from engine.partial_sampling import (
    NO_LIMIT,
    NOTHING,
    PartialSampling,
    Source,
    check_partial,
    resolve,
)
from engine.types import Sampling

PLACES = [source for source in Source if source is not Source.DEFAULT]
# Two different values for each field, neither of them the default.
VALUES: dict[str, tuple[Any, Any]] = {
    "temperature": (0.0, 1.5),
    "top_k": (0, 7),
    "top_p": (0.5, 1.0),
    "min_p": (0.0, 0.2),
    "repetition_penalty": (1.1, 1.3),
    "presence_penalty": (0.5, -0.5),
    "frequency_penalty": (0.25, -0.25),
    "seed": (0, 9),
    "max_tokens": (1, 500),
    "stop": (("a",), ("b", "c")),
    "thinking": ("on", "off"),
    "thought_budget": (10, 20),
    "penalty_last_n": (0, -1),
    "xtc_probability": (0.5, 1.0),
    "xtc_threshold": (0.2, 0.3),
    "mirostat": (1, 2),
    "mirostat_tau": (4.0, 6.0),
    "mirostat_eta": (0.2, 0.3),
    "sequence": ((), ("temperature",)),
}


def test_every_value_of_sampling_can_be_left_open() -> None:
    names = [item.name for item in fields(Sampling)]

    assert [item.name for item in fields(PartialSampling)] == names == list(VALUES)
    assert all(getattr(NOTHING, name) is None for name in names)
    assert resolve([]).sampling == Sampling()
    assert set(resolve([]).sources.values()) == {Source.DEFAULT}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_the_nearest_place_decides_each_value_by_itself(name: str, place: Source) -> None:
    near, far = VALUES[name]
    at = PLACES.index(place)
    layers = [(each, NOTHING) for each in PLACES[:at]]
    layers.append((place, replace(NOTHING, **{name: near})))
    layers += [(each, replace(NOTHING, **{name: far})) for each in PLACES[at + 1 :]]
    resolved = resolve(layers)

    assert resolved.sampling == replace(Sampling(), **{name: near})
    assert resolved.sources == {
        item.name: place if item.name == name else Source.DEFAULT for item in fields(Sampling)
    }


def test_no_limit_wins_over_a_limit_and_nothing_said_does_not() -> None:
    belle = (Source.BELLE, PartialSampling(max_tokens=512, thought_budget=64))

    lifted = resolve([(Source.OWN, PartialSampling(max_tokens=NO_LIMIT, thought_budget=NO_LIMIT)), belle])
    assert (lifted.sampling.max_tokens, lifted.sources["max_tokens"]) == (None, Source.OWN)
    assert (lifted.sampling.thought_budget, lifted.sources["thought_budget"]) == (None, Source.OWN)
    assert resolve([(Source.OWN, NOTHING), belle]).sampling.max_tokens == 512


@pytest.mark.parametrize(
    "wrong",
    [PartialSampling(top_p=2.0), PartialSampling(max_tokens=0), PartialSampling(mirostat=3)],
)
def test_values_out_of_their_range_are_refused(wrong: PartialSampling) -> None:
    with pytest.raises(InvalidSampling):
        check_partial(wrong)
    check_partial(NOTHING)
    check_partial(PartialSampling(max_tokens=NO_LIMIT))
