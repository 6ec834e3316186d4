"""Small real tokenizers, trained with the libraries and the recipes of BLOOM's and LLaMA's own."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BLOOM_REGEX = r" ?[^(\s|[.,!?…。，、।۔،])]+"

SENTENCES = (
    "Human: 你好，请介绍一下你自己。\n\nAssistant:我是一个在本地运行的助手。",
    "Human: How do I convert a model?\n\nAssistant:Open the convert page and choose the folder.",
    "今天天气很好，我们去公园散步吧！路上看到了很多花，还有小鸟。",
    "把下面的句子翻译成英文：我喜欢读书，也喜欢写字。",
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "A model file is loaded once; the answer then comes word by word.",
    "机器学习是人工智能的一个分支，语言模型可以根据上文预测下一个词。",
    "Numbers such as 0 1 2 3 4 5 6 7 8 9 10 42 2023 and 3.14 are text as well.",
    "Please write a short poem about the sea, the moon and the old harbour.",
    "def add(a, b):\n    return a + b\n",
    "模型需要多少内存？七十亿参数的模型大约需要四到五个吉字节。",
    "隐私：所有的对话都保存在您自己的电脑上，不会发送到任何地方。",
)
"""Written for these tests."""


@functools.cache
def bloom_tokenizer_json(n_vocab: int = 400) -> str:
    """A tokenizer.json with BLOOM's recipe: `<unk> <s> </s> <pad>`, 256 bytes, merges up to `n_vocab`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(BLOOM_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel(use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab,
        min_frequency=1,
        show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", "<pad>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    return str(tokenizer.to_str())


@functools.cache
def llama_tokenizer_model(n_vocab: int = 520, *, byte_fallback: bool = True) -> bytes:
    """A tokenizer.model with LLaMA's recipe: BPE, byte fallback, no normalization, dummy prefix."""
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in SENTENCES * 2 for line in text.split("\n") if line]),
        model_writer=out,
        model_type="bpe",
        vocab_size=n_vocab,
        byte_fallback=byte_fallback,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        unk_surface=" \u2047 ",
        character_coverage=0.99,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def write_bloom_tokenizer(folder: Path, n_vocab: int = 400) -> int:
    """Write BLOOM's three tokenizer files; returns the number of tokens."""
    text = bloom_tokenizer_json(n_vocab)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    _write_json(folder / "special_tokens_map.json", special)
    settings = {**special, "add_prefix_space": False, "tokenizer_class": "BloomTokenizerFast"}
    _write_json(folder / "tokenizer_config.json", settings)
    return len(json.loads(text)["model"]["vocab"])


def write_llama_tokenizer(folder: Path, n_vocab: int = 520) -> int:
    """Write LLaMA's tokenizer files; returns the number of pieces."""
    (folder / "tokenizer.model").write_bytes(llama_tokenizer_model(n_vocab))
    _write_json(folder / "special_tokens_map.json", {})
    settings = {"bos_token": "", "eos_token": "", "unk_token": "", "tokenizer_class": "LlamaTokenizer"}
    _write_json(folder / "tokenizer_config.json", settings)
    return n_vocab


SPACES = {
    "prepend": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "pre_tokenizer": None,
    },
    "replace": {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        "pre_tokenizer": None,
    },
    **{
        scheme: {
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Metaspace",
                "replacement": "\u2581",
                "prepend_scheme": scheme,
                "split": False,
            },
        }
        for scheme in ("always", "first", "never")
    },
}
"""How LLaMA's tokenizer.json files write spaces: transformers 4 the first two ways, 5 the others."""


def write_llama_tokenizer_of_transformers_5(
    folder: Path, n_vocab: int = 520, *, added: Sequence[str] = (), **settings: Any
) -> None:
    """LLaMA's tokenizer as transformers 5 saves it: without tokenizer.model.

    added: texts of tokens added as special ones; settings: for `LlamaTokenizer`.
    """
    from sentencepiece import SentencePieceProcessor
    from transformers import LlamaTokenizer
    from transformers.tokenization_utils_base import generate_merges

    library = SentencePieceProcessor(model_proto=llama_tokenizer_model(n_vocab))
    vocab = {library.id_to_piece(token): token for token in range(library.get_piece_size())}
    tokenizer = LlamaTokenizer(vocab=vocab, merges=generate_merges(vocab), **settings)
    tokenizer.add_special_tokens({"extra_special_tokens": list(added)})
    tokenizer.save_pretrained(folder)


@functools.cache
def llama_tokenizer_json(n_vocab: int = 520) -> str:
    """The tokenizer.json that transformers 5 saves of `llama_tokenizer_model`."""
    with tempfile.TemporaryDirectory() as folder:
        write_llama_tokenizer_of_transformers_5(Path(folder), n_vocab, added=["<|turn|>"])
        return (Path(folder) / "tokenizer.json").read_text(encoding="utf-8")


def merges_by_score(n_vocab: int = 520) -> list[str]:
    """Merges of `llama_tokenizer_model` in the order that transformers 4 gave them, written as it did."""
    from sentencepiece import SentencePieceProcessor
    from transformers.tokenization_utils_base import generate_merges

    library = SentencePieceProcessor(model_proto=llama_tokenizer_model(n_vocab))
    scores = {library.id_to_piece(token): library.get_score(token) for token in range(n_vocab)}
    vocab = {piece: token for token, piece in enumerate(scores)}
    return [f"{left} {right}" for left, right in generate_merges(vocab, scores)]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
