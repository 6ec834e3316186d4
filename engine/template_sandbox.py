"""Runs chat templates, which are programs by strangers, in Jinja2's immutable sandbox and within bounds.

Loop rounds, calls, time, and the size of what they make have a budget. What templates may use is what
transformers' `apply_chat_template` offers (huggingface.co/docs/transformers/chat_templating_writing): loop
controls, `raise_exception`, `strftime_now`, `tojson` without HTML escapes, and `{% generation %}` blocks,
which mark answers for training and are transparent here. Knows nothing about messages.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, Undefined, nodes
from jinja2.ext import Extension
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.errors import ChatTemplateFailed

MAX_TEMPLATE_CHARS = 1 << 20
_MAX_TEXT_CHARS = 16 << 20
_MAX_STEPS = 1_000_000
_MAX_POWER = 64
_MAX_INDENT = 64
_MAX_NUMBER_BITS = 4096
_MAX_RENDER_S = 5.0
_COUNTED, _CONCATENATED = "chatbelle_counted", "chatbelle_concatenated"
_LONG_WIDTH = re.compile(r"\{[^{}]*[0-9]{5}")  # in a format string

# What a template may make Jinja2, its generated code, or Python's texts raise.
_FAILURES = (
    TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


class TemplateBudgetSpent(ChatTemplateFailed):
    """The template was still at work after as many steps or as much time as it may take."""


class _BudgetSpent(Exception):
    pass


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
        """What the template writes. Raises ChatTemplateFailed, TemplateBudgetSpent if that takes too long."""
        compiled = self._compile()
        try:
            self._environment.begin()
            return _joined(compiled.generate(**variables))
        except _BudgetSpent as error:
            raise TemplateBudgetSpent("the template does not come to an end") from error
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


class _Concatenations(NodeTransformer):
    """Has `~` go through a filter, since that operator can't be intercepted."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        """`a ~ b` as `[a, b] | concatenated`."""
        self.generic_visit(node)
        texts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(texts, _CONCATENATED, [], [], None, None, lineno=node.lineno)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which loop rounds, calls and time are counted, and texts, lists and numbers stay small."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            undefined=_Nothing,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _GenerationBlock],
        )
        self._n_steps = 0
        self._end_s = 0.0
        self.globals.update({"raise_exception": _raise_exception, "strftime_now": _strftime_now})
        self.filters.update({"tojson": _tojson, _COUNTED: self._counted, _CONCATENATED: _concatenated})
        self.filters = {name: _bounded(name, each) for name, each in self.filters.items()}

    def begin(self) -> None:
        """Count from here."""
        self._n_steps = 0
        self._end_s = monotonic() + _MAX_RENDER_S

    def parse_bounded(self, source: str) -> nodes.Template:
        """The syntax tree of `source`. Raises ValueError for one that is too long."""
        if len(source) > MAX_TEMPLATE_CHARS:
            raise ValueError(f"the template has {len(source)} characters")
        return self.parse(source)

    def compile_counted(self, tree: nodes.Template) -> Template:
        """Compile `tree` with every loop going through the counter."""
        _Concatenations().visit(tree)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return self.template_class.from_code(self, self.compile(tree), self.make_globals(None))

    def call(self, context: Any, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """A call from the template, counted."""
        self._step()
        method = getattr(callee, "__wrapped__", callee)  # the sandbox has its own `format`
        text = getattr(method, "__self__", None)
        if isinstance(text, str):
            _check_sizes(method.__name__, text, args, kwargs)
        return super().call(context, callee, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, refused where the result could be huge; formatting with %."""
        if operator == "%" and isinstance(left, str):
            raise ValueError("string formatting with %")
        if operator == "**" and isinstance(right, int | float) and abs(right) > _MAX_POWER:
            raise ValueError("a power that high")
        if operator == "*" and _repetition_length(left, right) > _MAX_STEPS:
            raise ValueError("a repetition that long")
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            _check_length(len(left) + len(right), left)
        if isinstance(left, int) and isinstance(right, int):
            _check_numbers(left, right)
        return super().call_binop(context, operator, left, right)

    def _counted(self, iterable: Iterable[Any]) -> Iterator[Any]:
        for element in iterable:
            self._step()
            yield element

    def _step(self) -> None:
        self._n_steps += 1
        if self._n_steps > _MAX_STEPS or monotonic() > self._end_s:
            raise _BudgetSpent


def _bounded(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses arguments with which its result could be huge."""

    @functools.wraps(apply)
    def apply_bounded(*args: Any, **kwargs: Any) -> Any:
        # Some are given the environment or the context first.
        value, *rest = args[1:] if hasattr(apply, "jinja_pass_arg") else args
        _check_sizes(name, value, rest, kwargs)
        return apply(*args, **kwargs)

    return apply_bounded


def _check_sizes(name: str, value: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError if a filter, or a method of a text, could make much out of little."""
    given = (*args, *kwargs.values())
    if any(isinstance(each, int) and abs(each) > _MAX_STEPS for each in given):
        raise ValueError(f"{name} with a number that large")
    if name in ("format", "format_map") and isinstance(value, str) and _LONG_WIDTH.search(value):
        raise ValueError(f"{name} with a width that large")
    if name == "replace" and isinstance(value, str):
        added = max((len(each) for each in given if isinstance(each, str)), default=0)
        _check_length((len(value) + 1) * (added + 1), value)
    if name == "join":
        joint, parts = (value, given[:1]) if isinstance(value, str) else ("", (value, *given))
        for part in parts:
            if isinstance(part, list | tuple):
                _check_length(sum(len(str(each)) + len(joint) for each in part), "")


def _check_length(length: int, value: Any) -> None:
    if length > (_MAX_TEXT_CHARS if isinstance(value, str) else _MAX_STEPS):
        raise ValueError("the template makes a text or list that is too long")


def _check_numbers(left: int, right: int) -> None:
    if left.bit_length() + right.bit_length() > _MAX_NUMBER_BITS:
        raise ValueError("the template makes a number that is too large")


def _concatenated(values: Sequence[Any]) -> str:
    """What `~` does. Raises ValueError for a text that is too long."""
    texts = [str(value) for value in values]
    _check_length(sum(map(len, texts)), "")
    return "".join(texts)


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
        if n_chars > _MAX_TEXT_CHARS:
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
    if indent is not None and indent > _MAX_INDENT:
        raise ValueError("an indentation that wide")
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _reason(error: Exception) -> str:
    """Which construct failed, and where: syntax errors know their line."""
    line = getattr(error, "lineno", None)
    text = str(error).rstrip(".") or type(error).__name__
    return f"{text} (line {line})" if line else text
