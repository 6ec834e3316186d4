"""Small real tokenizers with the definitions of Llama 3's and Qwen's own, trained with the library."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.tokenizers import SENTENCES

LLAMA_3_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""As the tokenizer.json of Llama 3 (all versions) and of Qwen 2, 2.5 and 3 have them."""

_LLAMA_3_TEMPLATE = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_QWEN_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)

_LLAMA_3_SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>"),
    *("<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>"),
    *("<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
)
_QWEN_2_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
_QWEN_2_PLAIN = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)
_QWEN_3_PLAIN = (*_QWEN_2_PLAIN, "<tool_response>", "</tool_response>", "<think>", "</think>")


@dataclass(frozen=True)
class Family:
    """What sets one family's tokenizer.json and tokenizer_config.json apart.

    special and plain: the tokens added above the vocabulary, in the order of their ids.
    """

    regex: str
    special: Sequence[str]
    plain: Sequence[str]
    normalizer: Mapping[str, Any] | None
    begins_with: str | None
    keeps_words: bool
    settings: Mapping[str, Any]


LLAMA_3 = Family(
    LLAMA_3_REGEX,
    special=_LLAMA_3_SPECIAL,
    plain=(),
    normalizer=None,
    begins_with="<|begin_of_text|>",
    keeps_words=True,
    settings={
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "chat_template": _LLAMA_3_TEMPLATE,
        "clean_up_tokenization_spaces": True,
        "tokenizer_class": "PreTrainedTokenizerFast",
    },
)
_QWEN_SETTINGS = {
    "add_bos_token": False,
    "add_prefix_space": False,
    "additional_special_tokens": list(_QWEN_2_SPECIAL[1:]),
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "unk_token": None,
    "chat_template": _QWEN_TEMPLATE,
    "clean_up_tokenization_spaces": False,
    "tokenizer_class": "Qwen2Tokenizer",
}
QWEN_2 = Family(
    QWEN_REGEX,
    special=_QWEN_2_SPECIAL,
    plain=_QWEN_2_PLAIN,
    normalizer={"type": "NFC"},
    begins_with=None,
    keeps_words=False,
    settings=_QWEN_SETTINGS,
)
QWEN_3 = Family(
    QWEN_REGEX,
    special=_QWEN_2_SPECIAL,
    plain=_QWEN_3_PLAIN,
    normalizer={"type": "NFC"},
    begins_with=None,
    keeps_words=False,
    settings=_QWEN_SETTINGS,
)
FAMILIES = {"llama-3": LLAMA_3, "qwen-2": QWEN_2, "qwen-3": QWEN_3}

_LOST_MERGES = slice(3, None, 7)
"""Left out of the merges, so that no merges lead to some tokens: Llama 3 has such tokens, too."""


def byte_level_root(name: str, n_vocab: int = 480) -> dict[str, Any]:
    """A tokenizer.json, parsed: `n_vocab` tokens, then the family's added ones."""
    root: dict[str, Any] = json.loads(_trained(FAMILIES[name].regex, n_vocab))
    family = FAMILIES[name]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    processors: list[Any] = [byte_level]
    if family.begins_with is not None:
        processors.append(template_processing(family.begins_with, n_vocab))
    root["normalizer"] = family.normalizer
    root["post_processor"] = {"type": "Sequence", "processors": processors}
    root["added_tokens"] = [
        added_token(n_vocab + index, text, special=text in family.special)
        for index, text in enumerate([*family.special, *family.plain])
    ]
    root["model"]["ignore_merges"] = family.keeps_words
    del root["model"]["merges"][_LOST_MERGES]
    return root


def added_token(token: int, content: str, *, special: bool, **flags: bool) -> dict[str, Any]:
    """An entry of `added_tokens`, of `added_tokens_decoder` but for its id."""
    usual = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": content, **usual, **flags, "special": special}


def template_processing(before: str, token: int, after: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The step that puts `before` first and, by its id, what is in `after` last."""
    tokens = {before: token, **(after or {})}
    texts = [{"SpecialToken": {"id": text, "type_id": 0}} for text in tokens]
    single = [texts[0], {"Sequence": {"id": "A", "type_id": 0}}, *texts[1:]]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            text: {"id": text, "ids": [id_], "tokens": [text]} for text, id_ in tokens.items()
        },
    }


def write_byte_level_tokenizer(folder: Path, name: str, n_vocab: int = 480) -> int:
    """Write tokenizer.json and tokenizer_config.json; returns the number of tokens, added ones included."""
    root = byte_level_root(name, n_vocab)
    entries = {str(entry["id"]): {**entry} for entry in root["added_tokens"]}
    for entry in entries.values():
        del entry["id"]
    settings = {**FAMILIES[name].settings, "added_tokens_decoder": entries}
    for file, value in (("tokenizer.json", root), ("tokenizer_config.json", settings)):
        (folder / file).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return n_vocab + len(entries)


@functools.cache
def _trained(regex: str, n_vocab: int) -> str:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    return str(tokenizer.to_str())
