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


def with_end_tokens(
    vocabulary: Vocabulary, listed: Iterable[int], path: Path, *, others: Iterable[int] = ()
) -> Vocabulary:
    """`vocabulary` in which each of the `listed` ids ends an answer; added ones are control tokens then.

    others: end as well if they are control tokens: 2 is what configurations name that were told nothing, an
    ordinary character in many vocabularies. The vocabulary's own end token stays: templates write it. An id
    that it has not is passed over, as is the token that begins a text or stands for the unknown: LLaMA
    checkpoints of 2023 name those by mistake. Raises `UnsupportedTokenizer`, naming `path`, for more tokens
    than a GGUF can name.
    """
    types = list(vocabulary.types)
    named = [token for token in listed if 0 <= token < len(vocabulary)]
    control = [
        token for token in others if 0 <= token < len(vocabulary) and types[token] is TokenType.CONTROL
    ]
    excluded = {vocabulary.eos_id, vocabulary.bos_id, vocabulary.unk_id}
    ends = [token for token in dict.fromkeys([*named, *control]) if token not in excluded]
    unknown = [token for token in ends if vocabulary.tokens[token] not in _KNOWN_BY_TEXT]
    if len(unknown) > 2:
        raise UnsupportedTokenizer(path, f"{len(unknown) + 1} end tokens, of which a GGUF can name 3")
    eot, eom = (*unknown, None, None)[:2]
    for token in ends:
        if types[token] is not TokenType.NORMAL:  # ordinary text is found in words, not before they are cut
            types[token] = TokenType.CONTROL
    return replace(vocabulary, types=types, eot_id=eot, eom_id=eom)
