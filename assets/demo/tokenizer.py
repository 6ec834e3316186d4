"""The demo model's tokenizer: byte-level BPE behind BLOOM's own pre-tokenizer definition.

BLOOM's pattern keeps a whole run of Chinese characters together, so plain BPE training on a small corpus
would learn entire questions as single tokens. The merges are therefore learnt from pieces (single Chinese
characters, frequent two-character words, English words); the definition written to `tokenizer.json` stays
exactly BLOOM's.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BLOOM_PATTERN = " ?[^(\\s|[.,!?…。，、।۔،])]+"
SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")
UNK_ID, BOS_ID, EOS_ID, PAD_ID = range(4)
PROMPT_PIECES = ("Human:", "\n\n", "Assistant:")

_PIECE = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|[\u3400-\u9fff]+|\d|[^\w\s]|_|\n+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")


def new_tokenizer() -> Tokenizer:
    """An untrained tokenizer with BLOOM's pre-tokenizer, decoder and post-processor."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(BLOOM_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=True, trim_offsets=False, use_regex=False
    )
    return tokenizer


def train_tokenizer(texts: Iterable[str], n_vocab: int, n_chinese_words: int = 400) -> Tokenizer:
    """Learn at most `n_vocab` tokens from `texts`."""
    corpus = list(texts)
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = frequent_pairs(corpus, n_chinese_words)
    tokenizer = new_tokenizer()
    tokenizer.train_from_iterator(_pieces(corpus, words), trainer)
    return tokenizer


def frequent_pairs(texts: Iterable[str], n_pairs: int) -> set[str]:
    """Two-character Chinese words: pairs much more frequent than their characters alone suggest."""
    singles: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for text in texts:
        for run in _CHINESE.findall(text):
            singles.update(run)
            pairs.update(run[i : i + 2] for i in range(len(run) - 1))
    scored = {
        pair: count * count / (singles[pair[0]] * singles[pair[1]])
        for pair, count in pairs.items()
        if count >= 12
    }
    return set(sorted(scored, key=lambda pair: (-scored[pair], pair))[:n_pairs])


def _pieces(texts: Iterable[str], words: set[str]) -> Iterator[str]:
    for text in texts:
        for match in _PIECE.finditer(text):
            piece = match.group()
            if _CHINESE.match(piece):
                yield from piece
                yield from (piece[i : i + 2] for i in range(len(piece) - 1) if piece[i : i + 2] in words)
            elif piece[0].isalpha() and text[match.start() - 1 : match.start()] == " ":
                yield " " + piece
                yield piece
            else:
                yield piece
    for piece in PROMPT_PIECES:
        yield from [piece] * 1000


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("unk_token", "bos_token", "eos_token", "pad_token"), SPECIAL_TOKENS, strict=True))
    config = {
        **names,
        "add_prefix_space": False,
        "model_max_length": 2048,
        "padding_side": "left",
        "tokenizer_class": "BloomTokenizerFast",
    }
    for name, content in (("tokenizer_config.json", config), ("special_tokens_map.json", names)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
