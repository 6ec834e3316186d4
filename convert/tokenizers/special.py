"""Which tokens begin, end, pad or stand for the unknown: four files can say so, and they do not always agree.

Order: tokenizer_config.json, special_tokens_map.json, the tokenizer's own file, config.json last: several
LLaMA checkpoints of 2023 carry wrong ids in config.json.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from convert.errors import InvalidFile
from convert.tokenizers.added_tokens import MAX_ADDED
from convert.tokenizers.files import TokenizerFiles

KINDS = ("bos", "eos", "unk", "pad")
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_LISTS = ("model_specific_special_tokens", "additional_special_tokens", "extra_special_tokens")


def special_ids(
    files: TokenizerFiles,
    ids: Mapping[str, int],
    own: Mapping[str, int | None],
    config: Mapping[str, Any],
) -> dict[str, int | None]:
    """`bos_id`, `eos_id`, `unk_id`, `pad_id`, from all tokens' ids by text and the tokenizer's own choice."""
    named = [files.json("tokenizer_config.json"), files.json("special_tokens_map.json")]
    result: dict[str, int | None] = {}
    for kind in KINDS:
        candidates = [ids.get(_content(source.get(f"{kind}_token"))) for source in named]
        candidates += [own.get(kind), _config_id(config.get(f"{kind}_token_id"), len(ids))]
        result[f"{kind}_id"] = next((token for token in candidates if token is not None), None)
    return result


def named_special(files: TokenizerFiles) -> tuple[str, ...]:
    """Texts of the tokens that tokenizer_config.json and special_tokens_map.json call special, each once.

    In the order in which transformers adds those that the vocabulary lacks: by role, then the others.
    Lists: `additional_special_tokens`, from version 5 `extra_special_tokens`, there also names with tokens.
    Raises `InvalidFile` for more than a tokenizer has.
    """
    sources = [files.json("tokenizer_config.json"), files.json("special_tokens_map.json")]
    entries: list[Any] = [source.get(f"{role}_token") for role in _ROLES for source in sources]
    for source in sources:
        entries += [value for key, value in source.items() if key.endswith("_token")]
    for source in sources:
        for key in _LISTS:
            more = source.get(key)
            entries += more if isinstance(more, list) else more.values() if isinstance(more, dict) else ()
    texts = dict.fromkeys(map(_content, entries))
    if len(texts) > MAX_ADDED:
        raise InvalidFile(files.path_of("tokenizer_config.json"), f"{len(texts)} special tokens")
    return tuple(text for text in texts if text)


def addable_special(files: TokenizerFiles, known: Collection[str], config: Mapping[str, Any]) -> list[str]:
    """Those of `named_special` that no list of tokens has, and transformers adds when it loads the tokenizer.

    known: all texts that have an id. Only as many as the embedding, by config.json, has rows left: the others
    are names that nothing answers to.
    """
    missing = [text for text in named_special(files) if text not in known]
    n_rows = config.get("vocab_size")
    return missing[: max(0, n_rows - len(known))] if isinstance(n_rows, int) and n_rows > 0 else missing


def special_texts(files: TokenizerFiles) -> frozenset[str]:
    """Texts of all tokens that the files beside the vocabulary call special."""
    decoder = added_tokens_decoder(files).values()
    texts = {_content(entry) for entry in decoder if entry.get("special") is True}
    return frozenset({*named_special(files), *texts} - {""})


def added_tokens_decoder(files: TokenizerFiles) -> dict[str, dict[str, Any]]:
    """tokenizer_config.json's own list of added tokens, by id as text."""
    value = files.json("tokenizer_config.json").get("added_tokens_decoder")
    entries = value if isinstance(value, dict) else {}
    return {str(token): entry for token, entry in entries.items() if isinstance(entry, dict)}


def _content(entry: Any) -> str:
    """A token is written as its text, or as an object that holds it."""
    value = entry.get("content") if isinstance(entry, dict) else entry
    return value if isinstance(value, str) else ""


def _config_id(value: Any, n_tokens: int) -> int | None:
    """config.json holds one id, or a list of them; -1 and other impossible ids stand for none."""
    first: Any = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
    if isinstance(first, bool) or not isinstance(first, int):
        return None
    return first if 0 <= first < n_tokens else None
