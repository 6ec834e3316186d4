"""What a word is for the search: bigrams in Chinese, Japanese and Korean text, words elsewhere.

Every character of a CJK run begins a word: it and its successor, or it alone at the end of the run. So any
string of two or more characters is a phrase of bigrams, a single character is the beginning of a word, and
both find exactly what a search for the substring would. Other text is split at everything that is neither a
letter nor a digit. Knows nothing of SQL or of the tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Filled indexes can only be changed with the same rules: a change here, or in the Unicode data of Python,
# changes this text, and the index is built anew when the history is opened.
RULES_VERSION = f"1/{unicodedata.unidata_version}"

_MAX_TERMS = 16
_MAX_TERM_CHARACTERS = 64

_CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUN = re.compile(f"(?P<cjk>[{_CJK}]+)|[^\\W_{_CJK}]+")


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a query: a string that must occur, in CJK text anywhere, else at the beginning of a word."""

    text: str
    is_cjk: bool


class _Folding(dict[int, int]):
    """`str.translate` table from a character to what it is compared as: always one character for one."""

    def __missing__(self, code: int) -> int:
        folded = unicodedata.normalize("NFKC", chr(code)).lower()
        if len(folded) == 1 and not re.match(f"[{_CJK}]", folded):
            base = unicodedata.normalize("NFKD", folded)
            if all(unicodedata.combining(mark) for mark in base[1:]):
                folded = base[0]
        self[code] = ord(folded) if len(folded) == 1 else code
        return self[code]


_FOLDING = _Folding()


def fold(text: str) -> str:
    """`text` without differences of case, width and accents; offsets stay the same."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def index_body(text: str) -> str:
    """The words of `text`, separated by spaces, as they go into the index."""
    return " ".join(_words(fold(text)))


def query_terms(query: str) -> tuple[Term, ...]:
    """The terms of a query; anything that is not a letter or digit only separates them.

    At most 16 terms of 64 characters are used, which is longer than anybody types.
    """
    runs = _RUN.finditer(fold(query[:4096]))
    terms = (Term(run.group()[:_MAX_TERM_CHARACTERS], run["cjk"] is not None) for run in runs)
    return tuple(dict.fromkeys(terms))[:_MAX_TERMS]


def match_expression(terms: tuple[Term, ...]) -> str:
    """The FTS5 query for all of `terms`; only letters and digits get into it, always within quotes."""
    return " AND ".join(_phrase(term) for term in terms)


def occurrences(folded: str, term: Term) -> Iterator[tuple[int, int]]:
    """Where `term` is in a folded text: (start, end) offsets, ascending, disjoint."""
    pattern = re.escape(term.text)
    if not term.is_cjk:
        pattern = f"(?<![^\\W_{_CJK}]){pattern}"
    for match in re.finditer(pattern, folded):
        yield match.span()


def _words(folded: str) -> Iterator[str]:
    for run in _RUN.finditer(folded):
        text = run.group()
        if run["cjk"] is None:
            yield text
        else:
            yield from (text[index : index + 2] for index in range(len(text)))


def _phrase(term: Term) -> str:
    if not term.is_cjk or len(term.text) == 1:
        return f'"{term.text}"*'
    return '"' + " ".join(term.text[index : index + 2] for index in range(len(term.text) - 1)) + '"'
