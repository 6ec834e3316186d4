"""A model that never comes to an end by itself, as the one that answers."""

from __future__ import annotations

import string
from pathlib import Path

from app.settings import SettingsStore
from builders.gguf_models import byte_vocabulary, chain, write_scripted_model
from engine.partial_sampling import PartialSampling
from engine.types import LoadOptions

_NAME = "endless"
_N_TOKENS = 40_000  # so many that no answer ends while a busy machine looks for it


def use_endless_model(home: Path) -> None:
    """Make a model that says the alphabet over and over the one that answers in the data folder `home`."""
    (home / "models").mkdir(parents=True)
    vocabulary = byte_vocabulary()
    alphabet = [letter.encode() for letter in string.ascii_letters + string.digits]
    following = chain(b":", *alphabet, b"\n\n", vocabulary=vocabulary, end=vocabulary.ids[b"a"])
    write_scripted_model(home / "models" / f"{_NAME}.gguf", following, context=_N_TOKENS)
    greedy = PartialSampling(temperature=0.0, repetition_penalty=1.0, max_tokens=_N_TOKENS)
    SettingsStore(home).update(
        default_model=_NAME,
        load=LoadOptions(context_tokens=_N_TOKENS, threads=1),
        model_sampling={_NAME: greedy},
    )
