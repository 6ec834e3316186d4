"""Models and backends that the engine tests share; the files are written once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builders.gguf_models import Shape, byte_vocabulary, write_model
from engine import loading
from engine.in_process import InProcessBackend
from engine.types import LoadOptions


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute with one thread by default: OpenMP's spinning barriers crawl on a busy machine."""
    monkeypatch.setattr(loading, "performance_cores", lambda: 1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `bloom.gguf` and `llama.gguf`, random weights."""
    folder = tmp_path_factory.mktemp("models")
    size = (len(byte_vocabulary().tokens), Shape().n_embd)
    untied = {"output.weight": np.random.default_rng(9).standard_normal(size).astype(np.float32)}
    write_model(folder / "bloom.gguf", architecture="bloom", tensors=untied, seed=3)
    write_model(folder / "llama.gguf", architecture="llama", seed=5)
    return folder


@pytest.fixture
def backend() -> Iterator[InProcessBackend]:
    backend = InProcessBackend()
    yield backend
    backend.unload()


@pytest.fixture(params=["bloom", "llama"])
def loaded(request: pytest.FixtureRequest, backend: InProcessBackend, models: Path) -> InProcessBackend:
    """A backend with each of the random models, in BELLE's prompt format."""
    backend.load(models / f"{request.param}.gguf", LoadOptions(prompt_format="belle"))
    return backend
