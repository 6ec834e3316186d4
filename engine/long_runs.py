"""Keeps texts from crashing llama.cpp's pre-tokenizers.

Most of them, BLOOM's among them, are run by std::regex, which recurses once for each character of a match:
a pasted line of some ten thousand letters (base64, minified code) overflows the stack and ends the process.
Such runs are cut before tokenization; text as people write it never contains one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# 8 MiB of stack were used up between 20,000 and 100,000 characters; threads of some systems have half a
# megabyte.
MAX_RUN_CHARS = 1000

# The separators are those of BLOOM's pre-tokenizer. Others divide texts further, never less.
_SEPARATORS = r"(|.,!?…。，、।۔،)"
_LONG_RUN = re.compile(
    rf"[^\s{_SEPARATORS}]{{{MAX_RUN_CHARS}}}|\s{{{MAX_RUN_CHARS}}}|[{_SEPARATORS}]{{{MAX_RUN_CHARS}}}"
)


def cut_long_runs(text: str) -> Iterator[str]:
    """The text in pieces, in none of which a word, white space or punctuation runs on for too long."""
    start = 0
    for run in _LONG_RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    if start < len(text) or not text:
        yield text[start:]
