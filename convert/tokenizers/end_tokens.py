"""Every token that ends an answer, said so that llama.cpp believes it.

A GGUF names three: `eos`, `eot` (of a turn) and `eom` (of a message). Others end an answer by their text
alone (src/llama-vocab.cpp, `special_eog_ids`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from convert.errors import UnsupportedTokenizer
from convert.tokenizers.vocabulary import TokenType, Vocabulary

_KNOWN_BY_TEXT = frozenset(
    {
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>"),
        *("<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"),
        *("<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "[e~["),
        "<｜end▁of▁sentence｜>",
    }
)


def with_end_tokens(vocabulary: Vocabulary, listed: Iterable[int], path: Path) -> Vocabulary:
    """`vocabulary` in which each of the `listed` ids ends an answer, and is a control token.

    Its own end token stays: templates write it. An id that it has not is passed over, as is the token that
    begins a text or stands for the unknown: LLaMA checkpoints of 2023 name those by mistake. Raises
    `UnsupportedTokenizer`, naming `path`, for more tokens than a GGUF can name.
    """
    excluded = {vocabulary.eos_id, vocabulary.bos_id, vocabulary.unk_id}
    others = [
        token for token in dict.fromkeys(listed) if 0 <= token < len(vocabulary) and token not in excluded
    ]
    unknown = [token for token in others if vocabulary.tokens[token] not in _KNOWN_BY_TEXT]
    if len(unknown) > 2:
        raise UnsupportedTokenizer(path, f"{len(unknown) + 1} end tokens, of which a GGUF can name 3")
    eot, eom = (*unknown, None, None)[:2]
    types = list(vocabulary.types)
    for token in others:
        types[token] = TokenType.CONTROL
    return replace(vocabulary, types=types, eot_id=eot, eom_id=eom)
