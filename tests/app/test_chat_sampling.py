"""How `chatbelle chat` answers: options before what the person set, and that before what the model wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.settings import SettingsStore
from builders.fake_backend import FakeBackend
from builders.gguf_models import write_model
from engine.partial_sampling import NO_LIMIT, PartialSampling
from engine.types import FinishReason, Sampling

Asked = Callable[..., Sampling]


@pytest.fixture
def asked(home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The sampling that the engine is given for `chatbelle chat` with these arguments."""
    monkeypatch.setenv("CHATBELLE_HOME", str(home_folder))

    def ask(*arguments: str) -> Sampling:
        fake = FakeBackend()
        assert main(["chat", *arguments, "x"], make_backend=lambda: fake) == 0
        ((_, sampling),) = fake.asked
        return sampling

    return ask


def library_model(home_folder: Path, **keys: Any) -> Path:
    """A model of the library, `m`, with a template of its own."""
    folder = home_folder / "models"
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"general.sampling.{key}": value for key, value in keys.items()}
    return write_model(folder / "m.gguf", chat_template="{{ messages }}", keys=named)


def test_an_unknown_model_gets_the_defaults(asked: Asked, home_folder: Path) -> None:
    library_model(home_folder)

    assert asked("--model", "m") == Sampling()


def test_every_option_sets_its_value(asked: Asked, home_folder: Path) -> None:
    library_model(home_folder, temp=0.3, top_k=3)
    options = {
        "--temperature": "1.5",
        "--top-k": "7",
        "--top-p": "0.5",
        "--min-p": "0.25",
        "--repetition-penalty": "1.25",
        "--presence-penalty": "-0.5",
        "--frequency-penalty": "0.5",
        "--seed": "9",
        "--max-tokens": "11",
    }

    assert asked("--model", "m", *(word for option in options.items() for word in option)) == Sampling(
        temperature=1.5,
        top_k=7,
        top_p=0.5,
        min_p=0.25,
        repetition_penalty=1.25,
        presence_penalty=-0.5,
        frequency_penalty=0.5,
        seed=9,
        max_tokens=11,
    )


def test_what_the_person_set_for_this_model_counts_before_the_file(asked: Asked, home_folder: Path) -> None:
    path = library_model(home_folder, temp=0.3, top_k=3, top_p=0.5)
    store = SettingsStore(home_folder)
    store.set_sampling("m", PartialSampling(temperature=0.6, top_k=6))
    store.set_sampling("another", PartialSampling(top_p=0.1))

    for name in ("m", str(path)):
        found = asked("--model", name, "--temperature", "0.9")
        assert (found.temperature, found.top_k, found.top_p) == (0.9, 6, 0.5)


def test_a_template_file_is_none_of_belles_formats(asked: Asked, home_folder: Path, tmp_path: Path) -> None:
    """A BLOOM model without a template of its own is taken for BELLE's."""
    folder = home_folder / "models"
    folder.mkdir(parents=True)
    write_model(folder / "m.gguf")
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages[0]['content'] }}")

    assert asked("--model", "m").repetition_penalty == 1.2
    assert asked("--model", "m", "--prompt-format", str(template)) == Sampling()


def test_belle_keeps_a_limit_that_can_be_lifted(asked: Asked, home_folder: Path) -> None:
    library_model(home_folder)

    belle = asked("--model", "m", "--prompt-format", "belle")
    assert (belle.temperature, belle.repetition_penalty, belle.max_tokens) == (0.35, 1.2, 512)
    assert asked("--model", "m", "--prompt-format", "belle", "--max-tokens", "none").max_tokens is None
    SettingsStore(home_folder).set_sampling("m", PartialSampling(max_tokens=NO_LIMIT))
    assert asked("--model", "m", "--prompt-format", "belle").max_tokens is None


@pytest.mark.parametrize(
    ("reason", "said"),
    [(FinishReason.LENGTH, "--max-tokens"), (FinishReason.CONTEXT, "context of 1,024 tokens is full")],
)
def test_it_is_said_which_limit_ended_an_answer(
    home_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: FinishReason,
    said: str,
) -> None:
    monkeypatch.setenv("CHATBELLE_HOME", str(home_folder))
    library_model(home_folder)

    backend = FakeBackend(reason=reason)
    assert main(["chat", "--lang", "en", "--model", "m", "x"], make_backend=lambda: backend) == 0
    assert said in capsys.readouterr().err
