"""What `belle-convert` tells about a checkpoint and about a finished conversion, as plain values.

The same dictionary is printed as JSON or shown as a table; nothing here knows a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.checkpoint import Checkpoint
from convert.notes import Note
from convert.pipeline import Converted
from convert.plan import Plan, output_size_bytes
from convert.prompt_choice import PromptChoice
from convert.recipes import AUTO, TARGETS


def inspection(checkpoint: Checkpoint, prompt: PromptChoice) -> dict[str, Any]:
    """All that `inspect` shows; sizes in bytes, `outputs` by target, in order."""
    plan = checkpoint.plan(AUTO, prompt)
    # What `auto` comes to is listed of its own where no other type does the same.
    targets = list(TARGETS) if plan.target.name in TARGETS else [AUTO, *TARGETS]
    vocabulary = checkpoint.vocabulary
    return {
        "source": str(checkpoint.path),
        "form": checkpoint.form,
        "files": list(checkpoint.files),
        "size_bytes": checkpoint.size_bytes,
        "architecture": checkpoint.architecture.family.gguf_name,
        "n_parameters": plan.n_parameters,
        "dtypes": list(checkpoint.dtypes),
        "n_tensors": len(plan.tensors),
        "n_vocab": checkpoint.architecture.n_vocab,
        "tokenizer": {
            "model": vocabulary.model,
            "pre_tokenizer": vocabulary.pre,
            "n_tokens": len(vocabulary.tokens),
            "n_padding_tokens": plan.n_padding_tokens,
        },
        "prompt_format": {"name": prompt.name, "reason": prompt.reason, "place": prompt.place},
        "notes": _notes(checkpoint.notes),
        "default_type": plan.target.name,
        "outputs": {target: output_size_bytes(plan, target) for target in targets},
    }


def conversion(
    plan: Plan, prompt: PromptChoice, converted: Converted, notes: Sequence[Note] = ()
) -> dict[str, Any]:
    """All that `to-gguf` reports at the end; sizes in bytes, times in seconds."""
    return {
        "output": str(converted.path),
        "size_bytes": converted.size_bytes,
        "sha256": converted.sha256,
        "type": plan.target.name,
        "architecture": plan.architecture,
        "n_parameters": plan.n_parameters,
        "n_tensors": len(plan.tensors),
        "types": dict(converted.types),
        "prompt_format": {"name": prompt.name, "reason": prompt.reason, "place": prompt.place},
        "notes": _notes(notes),
        "n_nonfinite": dict(converted.n_nonfinite),
        "seconds": converted.seconds,
        "peak_rss_bytes": converted.peak_rss_bytes,
    }


def _notes(notes: Sequence[Note]) -> list[dict[str, Any]]:
    return [{"key": note.key, "values": dict(note.values)} for note in notes]
