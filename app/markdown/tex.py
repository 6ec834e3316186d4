"""Which formulas the window's renderer can draw (flutter_math_fork, in Flet's client).

It answers a formula that it does not know with an error in place of the text, and tells nobody. So a formula
is looked through here first: that its commands are known (`tex_commands`, measured), have what they need, and
that braces, fences and environments end. Rather too strict than too lenient: what is not drawn is shown as it
was written.
"""

from __future__ import annotations

import re
from functools import lru_cache

from app.markdown.tex_commands import (
    COLORS,
    DELIMITERS,
    ENVIRONMENTS,
    N_ARGUMENTS,
    OPERATORS,
    RELATIONS,
    SIZES,
    TAKE_COLOR,
    TAKE_OPTION,
    TAKE_TEXT,
)

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)
_DEEPEST = 40
_LONGEST = 8000  # characters

_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_SPOKEN_OF = re.compile(r"\\label\s*\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])")
_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_FRAME = re.compile(r"\\(?:begin|end)\s*\{(?:equation|displaymath|math)\*?\}")
_ALIGNED = re.compile(r"\\(begin|end)\s*\{(?:align|eqnarray|flalign|split)\*?\}")
_GATHERED = re.compile(r"\\(begin|end)\s*\{(?:gather|gathered|multline)\*?\}")


@lru_cache(maxsize=256)  # a block is asked for its kind, and then shown
def to_draw(tex: str) -> str | None:
    """A formula without its delimiters as the renderer takes it, on one line; None where it can't be drawn.

    Environments that it does not know become such as look the same.
    """
    if len(tex) > _LONGEST:
        return None
    known = " ".join(_in_known_words(tex).split())
    if not known:
        return None
    # Lines need an environment around them, which models leave out.
    for candidate in (known, f"\\begin{{aligned}}{known}\\end{{aligned}}"):
        try:
            _Formula(candidate).check()
        except _UndrawableError:
            continue
        return candidate
    return None


def _in_known_words(tex: str) -> str:
    tex = _SPOKEN_OF.sub("", _COMMENT.sub("", tex))
    tex = _FRAME.sub("", _TAG.sub(r"\\qquad (\\text{\1})", tex))
    tex = _ALIGNED.sub(r"\\\1{aligned}", tex)
    return _GATHERED.sub(lambda found: f"\\{found[1]}{{array}}" + "{c}" * (found[1] == "begin"), tex)


class _UndrawableError(Exception):
    pass


class _Formula:
    """Goes through the tokens of one formula once."""

    def __init__(self, tex: str) -> None:
        self._tokens = [token for token in _TOKEN.findall(tex) if not token.isspace()]
        self._at = 0
        self._depth = 0

    def check(self) -> None:
        self._list(frozenset(), in_table=False)
        if self._at < len(self._tokens):
            raise _UndrawableError

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _before(self) -> str:
        """The token before the one taken last; "" at the beginning."""
        return self._tokens[self._at - 2] if self._at > 1 else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise _UndrawableError
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise _UndrawableError

    def _list(self, ends: frozenset[str], *, in_table: bool) -> None:
        """Atoms with their scripts, up to one of `ends`, which stays."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UndrawableError
        scripts = ""
        while (token := self._peek()) and token not in ends:
            if token in ("^", "_", "'"):
                if (token in scripts and token != "'") or (token == "'" and "^" in scripts):
                    raise _UndrawableError
                scripts += token
                self._at += 1
                if token != "'":
                    self._argument()
            else:
                scripts = ""
                self._atom(in_table=in_table)
        self._depth -= 1

    def _atom(self, *, in_table: bool) -> None:
        token = self._next()
        if token == "{":
            self._list(frozenset("}"), in_table=False)
            self._expect("}")
        elif token in ("&", "\\\\"):
            if not in_table:
                raise _UndrawableError
            if token == "\\\\":
                self._option()
        elif token == "\\hline" and in_table:
            return
        elif token in ("}", "#", "$", "%"):
            raise _UndrawableError
        elif token.startswith("\\"):
            self._command(token[1:])

    def _command(self, name: str) -> None:
        if name == "begin":
            self._environment()
        elif name == "left":
            self._fence()
        elif name in SIZES:
            self._delimiter()
        elif name in TAKE_TEXT:
            self._group()
        elif name in TAKE_COLOR:
            if self._group() not in COLORS:
                raise _UndrawableError
            self._arguments(TAKE_COLOR[name])
        elif name in ("limits", "nolimits"):
            if self._before().lstrip("\\") not in OPERATORS:
                raise _UndrawableError
        elif name == "not":
            if self._next().lstrip("\\") not in RELATIONS:
                raise _UndrawableError
        elif name == "substack":
            self._expect("{")
            self._list(frozenset("}"), in_table=True)
            self._expect("}")
        elif name in N_ARGUMENTS:
            if name in TAKE_OPTION:
                self._option()
            self._arguments(N_ARGUMENTS[name])
        else:
            raise _UndrawableError

    def _arguments(self, n: int) -> None:
        for _ in range(n):
            self._argument()

    def _argument(self) -> None:
        if self._peek() in ("^", "_", "&", "\\\\", "}", "'", ""):
            raise _UndrawableError
        self._atom(in_table=False)

    def _group(self) -> str:
        """A group that is no formula: its text."""
        self._expect("{")
        parts: list[str] = []
        while (token := self._next()) != "}":
            if token in ("{", "$", "#", "%", "&", "^", "_") or (
                token.startswith("\\")
                and token[1:] not in ("{", "}", "%", "&", "#", "$", "_", " ", ",", "quad")
            ):
                raise _UndrawableError
            parts.append(token)
        return "".join(parts)

    def _option(self) -> None:
        if self._peek() == "[":
            while self._next() != "]":
                pass

    def _delimiter(self) -> None:
        if self._next() not in DELIMITERS:
            raise _UndrawableError

    def _fence(self) -> None:
        self._delimiter()
        ends = frozenset({"\\right", "\\middle"})
        self._list(ends, in_table=False)
        while self._peek() == "\\middle":
            self._at += 1
            self._delimiter()
            self._list(ends, in_table=False)
        self._expect("\\right")
        self._delimiter()

    def _environment(self) -> None:
        name = self._group()
        if name not in ENVIRONMENTS:
            raise _UndrawableError
        if ENVIRONMENTS[name]:
            self._group()
        self._list(frozenset({"\\end"}), in_table=True)
        self._expect("\\end")
        if self._group() != name:
            raise _UndrawableError
