"""Run as a program: load a model, let it answer, and print what memory that took.

Arguments: path, context. Prints JSON with bytes: `private` (anonymous memory, what only swapping can take
away), `file` (pages of the model's file) and `committed` (what was asked for), each over what the process had
before, after an answer to a prompt that fills a whole batch.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from engine.in_process import InProcessBackend
from engine.native import binding
from engine.types import LoadOptions, Message, Sampling

_NAMES = {"RssAnon": "private", "RssFile": "file", "VmData": "committed"}


def _taken() -> dict[str, int]:
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {_NAMES[name]: int(value.split()[0]) * 1024 for name, _, value in lines if name in _NAMES}


def _main() -> None:
    importlib.import_module("numpy")  # what is there before a model is not counted
    importlib.import_module("psutil")
    binding.api()
    before = _taken()
    backend = InProcessBackend()
    context_tokens = int(sys.argv[2])
    options = LoadOptions(context_tokens=context_tokens, threads=2, prompt_format="belle", ignore_memory=True)
    backend.load(Path(sys.argv[1]), options)
    prompt = "ab" * min(300, (context_tokens - 64) // 2)  # a token a letter
    for _ in backend.chat([Message("user", prompt)], Sampling(max_tokens=1)):
        pass
    after = _taken()
    sys.stdout.write(json.dumps({name: after[name] - before[name] for name in after}))


if __name__ == "__main__":
    _main()
