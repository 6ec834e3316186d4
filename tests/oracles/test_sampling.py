"""Tokens drawn beside llama.cpp's server: one seed, and what each file's `general.sampling.*` keys ask for.

Slow: needs the server that `build_llama_cpp.sh` builds; CHATBELLE_LLAMA_SERVER names it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from builders.gguf_models import write_model
from engine.gguf_header import read_gguf_header
from engine.llama import Context, Model
from engine.models.model_sampling import read_model_sampling, resolve_for
from engine.models.published_sampling import PublishedSampling
from engine.penalties import Penalties
from engine.sampler_chain import SamplerChain
from oracles.llama_server import serving

SERVER = os.environ.get("CHATBELLE_LLAMA_SERVER", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER, reason="CHATBELLE_LLAMA_SERVER names no llama-server"),
]

PROMPT = "the word and the other word, "
N_TOKENS = 60
USUAL = {"temp": 1.4, "top_k": 30, "top_p": 0.9}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"temp": 0.6, "top_k": 20, "top_p": 0.8, "min_p": 0.01},
        {**USUAL, "penalty_repeat": 1.3},
        {**USUAL, "penalty_repeat": 1.3, "penalty_last_n": 8},
        {**USUAL, "penalty_repeat": 1.3, "sequence": "temperature;top_p"},
        # As `belle-convert` writes them:
        {
            **USUAL,
            "penalty_repeat": 1.3,
            "penalty_last_n": 2048,
            "sequence": "penalties;dry;temperature;top_n_sigma;top_k;typ_p;top_p;min_p;xtc",
        },
        {**USUAL, "sequence": "temperature;top_p;top_k"},
        {**USUAL, "xtc_probability": 0.7, "xtc_threshold": 0.02},
        {"mirostat": 1, "mirostat_tau": 3.0},
        {"mirostat": 2, "mirostat_eta": 0.3, "penalty_repeat": 1.3},
        {"temp": 0.0},
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_tokens_are_drawn(tmp_path: Path, keys: dict[str, Any], seed: int) -> None:
    named = {f"general.sampling.{key}": value for key, value in keys.items()}
    path = write_model(tmp_path / "m.gguf", architecture="llama", chat_template="{{ x }}", keys=named)
    with serving(SERVER, path, "-t", "1") as server:
        prompt = server.tokenize(PROMPT)
        expected = server.sample(PROMPT, N_TOKENS, seed)

    assert len(expected) > 5
    assert drawn(path, prompt, seed)[: len(expected)] == expected


def drawn(path: Path, prompt: tuple[int, ...], seed: int) -> tuple[int, ...]:
    """Ours, end tokens counted by penalties as the server counts them."""
    wants = read_model_sampling(read_gguf_header(path), PublishedSampling(1, ()))
    sampling = resolve_for(wants).sampling
    penalties = Penalties(sampling, prompt)
    tokens = []
    with Model(path) as model, SamplerChain(sampling, seed, model.n_vocab) as chain:
        context = Context(model, context_tokens=256, n_batch=256, n_micro_batch=256, n_threads=1)
        context.evaluate(prompt)
        for _ in range(N_TOKENS):
            if penalties.enabled:
                penalties.apply(context.logits())
            token = chain.sample(context)
            penalties.accept(token)
            tokens.append(token)
            context.evaluate((token,))
    return tuple(tokens)
