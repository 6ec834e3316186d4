"""The native library, the built-in model's answer, and a checkpoint converted, loaded and asked.

The engine runs as it does for a person: in a process of its own where there are processes.
"""

from __future__ import annotations

from pathlib import Path

from app.demo_model import DEMO_SAMPLING, DEMO_THREADS, prepare_demo
from app.self_test.bench import Bench
from app.self_test.checkpoint import WORDS, write_checkpoint
from app.self_test.steps import CheckFailed
from engine.models.model_sampling import resolve_for
from engine.types import Finished, FinishReason, LoadOptions, Message

QUESTION = "你好"
ANSWER = "你好！我是 ChatBELLE 的内置小向导，想了解这个应用或者随便聊两句，都可以问我。"
"""What the built-in model says to it: it knows its answers by heart, and takes the likeliest words."""

_CONTEXT_TOKENS = 512
_TYPE = "q4_0"


def check_engine(bench: Bench) -> str:
    """The library is there, and says what it was built for and uses here."""
    from engine.native.features import native_library

    library = native_library()
    values = {"release": library.release, "ggml": library.ggml, "features": " ".join(library.cpu_features)}
    gpus = library.gpus or (bench.t("none"),)
    if library.cpu_variant is None:
        return bench.t("engine.one", gpus=gpus, **values)
    return bench.t("engine.chosen", variant=library.cpu_variant, gpus=gpus, **values)


def check_demo(bench: Bench) -> str:
    """The built-in model says what it must, word for word."""
    finished = _ask(prepare_demo(bench.home, lambda: None))
    if finished.message.text != ANSWER:
        raise CheckFailed(bench.t("demo.other", text=finished.message.text[:60]))
    return bench.t("demo.ok", speed=round(finished.statistics.tokens_per_s))


def check_convert(bench: Bench) -> str:
    """A checkpoint as BELLE's are published becomes a GGUF, which is loaded and says what it must."""
    from convert.detect import open_checkpoint
    from convert.pipeline import Converted, convert

    folder = bench.home.make(bench.home.root / "检查点 checkpoint")
    write_checkpoint(folder)
    target = bench.home.make(bench.home.models) / f"转换 {_TYPE}.gguf"
    with open_checkpoint(folder) as checkpoint:
        plan = checkpoint.plan(_TYPE, checkpoint.prompt("belle"))
        done = [event for event in convert(plan, target) if isinstance(event, Converted)]
    finished = _ask(target)
    text = finished.message.text
    if text != "".join(WORDS):
        raise CheckFailed(bench.t("convert.other", text=text[:60]))
    if finished.reason is not FinishReason.END:
        raise CheckFailed(bench.t("convert.no_end", reason=finished.reason.value))
    return bench.t("convert.ok", type=_TYPE, size=done[0].size_bytes)


def _ask(path: Path) -> Finished:
    """Load the model, ask `QUESTION`, and unload."""
    from engine.backends import make_backend

    backend = make_backend()
    try:
        backend.load(path, LoadOptions(context_tokens=_CONTEXT_TOKENS, threads=DEMO_THREADS))
        *_, finished = backend.chat([Message("user", QUESTION)], resolve_for(DEMO_SAMPLING).sampling)
    finally:
        backend.unload()
    assert isinstance(finished, Finished)
    return finished
