"""Random rewordings of a question, so that a small model learns what is asked and not how it was typed.

Everything here works on the text of a question: words exchanged for related ones and question openings for
equal ones (`lexicon.json`), polite extras, lost or swapped words and letters, other punctuation, case and
spacing; and questions made up of words that belong to no intent, whose right answer is that the guide
cannot help. Answers are never touched.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LEXICON = Path(__file__).resolve().parent / "lexicon.json"
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_PIECES = re.compile(r"[A-Za-z0-9_.'\-`]+|\s+|.", re.DOTALL)
_END_MARKS = "。？！?!.，, ~…"


@dataclass(frozen=True)
class Strength:
    """How often each change is made, as probabilities for a question (or for a word, where named so)."""

    untouched: float = 0.3
    synonym_per_word: float = 0.3
    frame: float = 0.4
    prefix: float = 0.2
    suffix: float = 0.25
    filler: float = 0.12
    drop_some: float = 0.4
    drop_per_word: float = 0.14
    swap: float = 0.08
    typo: float = 0.06
    lower: float = 0.3
    punctuation: float = 0.35
    spacing: float = 0.1


class Augmenter:
    """Rewords questions of one language."""

    def __init__(self, lang: str, strength: Strength | None = None) -> None:
        entry = json.loads(LEXICON.read_text(encoding="utf-8"))[lang]
        self.lang = lang
        self.strength = strength or Strength()
        self._synonyms = _substitutions(entry["synonyms"])
        self._synonym_pattern = _alternation(self._synonyms, lang)
        self._frames = _substitutions(entry["frames"])
        self._frame_pattern = (
            re.compile(rf"^(?:{_longest_first(self._frames)})(?= )", re.I) if self._frames else None
        )
        self._prefixes = entry["prefixes"].split("|")
        self._suffixes = entry["suffixes"].split("|")
        self._fillers = entry["fillers"].split("|")

    def reword(self, question: str, rng: random.Random, *, keep_words: bool = False) -> str:
        """One random rewording; now and then the question as it is.

        keep_words: exchange no words, for questions that quote what they ask about.
        """
        s = self.strength
        if rng.random() < s.untouched:
            return question
        text = question
        if self._frame_pattern and rng.random() < s.frame:
            text = self._frame_pattern.sub(
                lambda found: rng.choice(self._frames[found.group().lower()]), text
            )
        if not keep_words:
            text = self._exchange_words(text, rng)
        if rng.random() < s.drop_some:
            text = self._lose_words(text, rng)
        if rng.random() < s.swap:
            text = self._swap_words(text, rng)
        if rng.random() < s.filler:
            text = self._add_filler(text, rng)
        if rng.random() < s.typo:
            text = _mistype(text, rng)
        text = self._dress(text, rng)
        return text.strip() or question

    def _exchange_words(self, text: str, rng: random.Random) -> str:
        share = self.strength.synonym_per_word * rng.choice((0.0, 1.0, 1.0, 2.0))

        def exchange(found: re.Match[str]) -> str:
            word = found.group()
            return rng.choice(self._synonyms[word.lower()]) if rng.random() < share else word

        return self._synonym_pattern.sub(exchange, text)

    def _pieces(self, text: str) -> list[str]:
        """Words: English words each with the space before it, Chinese characters one by one."""
        found = _PIECES.findall(text)
        pieces: list[str] = []
        for piece in found:
            if pieces and pieces[-1].isspace():
                pieces[-1] += piece
            else:
                pieces.append(piece)
        return pieces

    def _lose_words(self, text: str, rng: random.Random) -> str:
        pieces = self._pieces(text)
        if len(pieces) < 4:
            return text
        rate = self.strength.drop_per_word
        if self.lang == "zh" and rng.random() < 0.5:
            start = rng.randrange(len(pieces) - 1)
            return "".join(pieces[:start] + pieces[start + 2 :])
        kept = [piece for piece in pieces if rng.random() >= rate]
        return "".join(kept) if len(kept) >= 2 else text

    def _swap_words(self, text: str, rng: random.Random) -> str:
        pieces = self._pieces(text)
        if len(pieces) < 5:
            return text
        middle = rng.randrange(2, len(pieces) - 1)
        joint = " " if self.lang == "en" else ""
        return "".join(pieces[middle:]).strip() + joint + "".join(pieces[:middle])

    def _add_filler(self, text: str, rng: random.Random) -> str:
        pieces = self._pieces(text)
        filler = rng.choice(self._fillers)
        pieces.insert(rng.randrange(1, len(pieces) + 1), f" {filler}" if self.lang == "en" else filler)
        return "".join(pieces)

    def _dress(self, text: str, rng: random.Random) -> str:
        s = self.strength
        if rng.random() < s.punctuation:
            text = text.rstrip(_END_MARKS)
            if rng.random() < 0.3:
                text = re.sub(r"[，,。.？?！!、](?=\D|$)", " " if self.lang == "en" else "", text).replace(
                    "  ", " "
                )
        if rng.random() < s.suffix:
            text = text.rstrip(_END_MARKS) + rng.choice(self._suffixes)
        if rng.random() < s.prefix:
            text = rng.choice(self._prefixes) + text
        if rng.random() < s.lower:
            text = text.lower()
        elif rng.random() < 0.3:
            text = text[:1].upper() + text[1:]
        elif rng.random() < 0.02:
            text = text.upper()
        if rng.random() < s.spacing:
            text = _respace(text, rng)
        return text


def split_points(text: str, rng: random.Random, rate: float) -> list[str]:
    """`text` cut at random places; tokenised piece by piece, words fall apart as in BPE-dropout."""
    cuts = [i for i in range(2, len(text)) if rng.random() < rate and text[i - 1] != " "]
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _mistype(text: str, rng: random.Random) -> str:
    if len(text) < 5:
        return text
    at = rng.randrange(1, len(text) - 1)
    change: Callable[[str], str] = rng.choice(
        (
            lambda t: t[:at] + t[at + 1 :],
            lambda t: t[:at] + t[at] + t[at:],
            lambda t: t[: at - 1] + t[at] + t[at - 1] + t[at + 1 :],
        )
    )
    return change(text)


def _respace(text: str, rng: random.Random) -> str:
    if _CHINESE.search(text):
        if rng.random() < 0.5:
            return text.replace(" ", "")
        return re.sub(r"(?<=[\u3400-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u3400-\u9fff])", " ", text)
    return rng.choice((text.replace("-", " "), text.replace("'", ""), text.replace(" ", "  ", 1)))


def _substitutions(groups: list[str]) -> dict[str, list[str]]:
    """Each word's possible replacements; a word of several groups draws from all of them."""
    table: dict[str, list[str]] = {}
    for group in groups:
        words = group.split("|")
        for word in words:
            table.setdefault(word.lower(), []).extend(other for other in words if other != word)
    return table


def _longest_first(words: dict[str, list[str]]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))


def _alternation(words: dict[str, list[str]], lang: str) -> re.Pattern[str]:
    pattern = _longest_first(words)
    return re.compile(rf"\b(?:{pattern})\b" if lang == "en" else pattern, re.IGNORECASE)
