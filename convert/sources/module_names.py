"""The names that modules have in the model itself, where a training program has put others around or between.

DataParallel, FSDP, torch.compile, activation checkpointing, PEFT and Lightning wrap a module in one of their
own, and its name gets into those of all tensors below it. Knows no models but for the names they begin with.
"""

from __future__ import annotations

import re

# Anywhere in a name: no model has modules of these names.
_WRAPPERS = re.compile(
    r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module|_ddp_module)(?=\.)"
)
# Many models have a `model.` of their own: it is a wrapper's only before another one's first module.
_OUTER = re.compile(r"^(module\.|base_model\.model\.|model\.(?=(model|transformer|lm_head)\.))+")
_ADAPTER = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|modules_to_save)\.")


def plain_name(name: str) -> str:
    """The name of a tensor without the wrappers in it; those of two tensors may come out alike."""
    return _OUTER.sub("", _WRAPPERS.sub("", name).removeprefix("."))


def is_of_adapter(name: str) -> bool:
    """Whether the tensor is a part of a LoRA adapter that was saved inside of its model."""
    return _ADAPTER.search(name) is not None
