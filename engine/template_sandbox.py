"""Runs chat templates, which are programs by strangers, in Jinja2's immutable sandbox and within bounds.

Loop rounds, calls, repetition and output have a budget. What templates may use is what transformers'
`apply_chat_template` offers (huggingface.co/docs/transformers/chat_templating_writing): loop controls,
`raise_exception`, `strftime_now`, `tojson` without HTML escapes, and `{% generation %}` blocks, which mark
answers for training and are transparent here. Knows nothing about messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, Undefined, nodes
from jinja2.ext import Extension
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import ChatTemplateFailed

_MAX_TEMPLATE_CHARS = 1 << 20
_MAX_OUTPUT_CHARS = 16 << 20
_MAX_STEPS = 1_000_000
_MAX_POWER = 64
_COUNTED = "chatbelle_counted"

_FAILURES = (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)


class BoundedTemplate:
    """A template, compiled on first use; every failure of it is a ChatTemplateFailed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._environment = _BoundedEnvironment()
        self._compiled: Template | None = None
        self._variables: frozenset[str] = frozenset()
        self._constants: frozenset[str] = frozenset()

    @property
    def variables(self) -> frozenset[str]:
        """Names that the template reads without having set them on every path. Raises ChatTemplateFailed."""
        self._compile()
        return self._variables

    @property
    def constants(self) -> frozenset[str]:
        """The texts that stand in the template's expressions. Raises ChatTemplateFailed."""
        self._compile()
        return self._constants

    def render(self, **variables: object) -> str:
        """What the template writes. Raises ChatTemplateFailed."""
        compiled = self._compile()
        try:
            self._environment.n_steps = 0
            return _joined(compiled.generate(**variables))
        except _FAILURES as error:
            raise ChatTemplateFailed(_reason(error)) from error

    def _compile(self) -> Template:
        if self._compiled is None:
            try:
                tree = self._environment.parse_bounded(self._source)
                self._variables = frozenset(find_undeclared_variables(tree))
                constants = (node.value for node in tree.find_all(nodes.Const))
                self._constants = frozenset(value for value in constants if isinstance(value, str))
                self._compiled = self._environment.compile_counted(tree)
            except _FAILURES as error:
                raise ChatTemplateFailed(_reason(error)) from error
        return self._compiled


class _Nothing(Undefined):
    """An undefined variable adds nothing to a text, as in llama.cpp's engine; Jinja2 alone refuses that."""

    def __add__(self, other: Any) -> Any:
        return other if isinstance(other, str) else super().__add__(other)

    def __radd__(self, other: Any) -> Any:
        return other if isinstance(other, str) else super().__radd__(other)


class _GenerationBlock(Extension):
    """`{% generation %}…{% endgeneration %}`: its content, and nothing else."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes inside the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which loop rounds and calls are counted, and repetition is kept small."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            undefined=_Nothing,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationBlock],
        )
        self.n_steps = 0
        self.globals.update({"raise_exception": _raise_exception, "strftime_now": _strftime_now})
        self.filters.update({"tojson": _tojson, _COUNTED: self._counted})

    def parse_bounded(self, source: str) -> nodes.Template:
        """The syntax tree of `source`. Raises ValueError for one that is too long."""
        if len(source) > _MAX_TEMPLATE_CHARS:
            raise ValueError(f"the template has {len(source)} characters")
        return self.parse(source)

    def compile_counted(self, tree: nodes.Template) -> Template:
        """Compile `tree` with every loop going through the counter."""
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return self.template_class.from_code(self, self.compile(tree), self.make_globals(None))

    def call(self, context: Any, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call from the template, counted."""
        self._step()
        return super().call(context, callee, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiplication, power and formatting, refused where the result could be huge."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("string formatting with %")
        if operator == "**" and isinstance(right, int | float) and abs(right) > _MAX_POWER:
            raise ValueError("a power that high")
        if operator == "*" and _repetition_length(left, right) > _MAX_STEPS:
            raise ValueError("a repetition that long")
        return super().call_binop(context, operator, left, right)

    def _counted(self, iterable: Iterable[Any]) -> Iterator[Any]:
        for element in iterable:
            self._step()
            yield element

    def _step(self) -> None:
        self.n_steps += 1
        if self.n_steps > _MAX_STEPS:
            raise ValueError("the template does not come to an end")


def _repetition_length(left: Any, right: Any) -> float:
    """Length of `sequence * count` or `count * sequence`; 0 for a product of numbers."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(count, int) and hasattr(sequence, "__len__"):
            return float(len(sequence)) * count
    return 0.0


def _joined(pieces: Iterable[str]) -> str:
    parts: list[str] = []
    n_chars = 0
    for piece in pieces:
        parts.append(piece)
        n_chars += len(piece)
        if n_chars > _MAX_OUTPUT_CHARS:
            raise ValueError("the template writes too much")
    return "".join(parts)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Like transformers' and llama.cpp's: no HTML escapes, unlike Jinja2's own filter."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _reason(error: Exception) -> str:
    """Which construct failed, and where: syntax errors know their line."""
    line = getattr(error, "lineno", None)
    return f"{error} (line {line})" if line else str(error)
