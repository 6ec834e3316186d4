"""Weights that are quantized already: 2023's ggml files, GPTQ."""

from __future__ import annotations

from dataclasses import dataclass

from convert.errors.base import SourceError


@dataclass(eq=False)
class PrivateGgmlContainer(SourceError):
    """The first ChatBELLE's own belle-model.bin, whose layout was never published."""


@dataclass(eq=False)
class UnknownGgmlVersion(SourceError):
    """A ggmf or ggjt file of a version that LLaMA files never had."""

    magic: str
    version: int


@dataclass(eq=False)
class UnknownGgmlModel(SourceError):
    """A ggml file that is neither LLaMA's nor bloomz.cpp's; `found` says what is known of it."""

    found: str


@dataclass(eq=False)
class UnsupportedGgmlType(SourceError):
    """A tensor of a type that ggml dropped in 2023 (Q4_2, Q4_3) or never stored."""

    tensor: str
    dtype: str


@dataclass(eq=False)
class UnknownGgmlBlocks(SourceError):
    """No known layout of `dtype` blocks gives the tensor plausible scales."""

    tensor: str
    dtype: str


@dataclass(eq=False)
class UnsupportedQuantization(SourceError):
    """The weights are quantized in a way that can't be read; `path` says so, or shows it."""

    setting: str
    found: str


@dataclass(eq=False)
class UnsupportedPacking(SourceError):
    """The tensor shows that the weights are packed integers of `kind`, which can't be read."""

    tensor: str
    kind: str


@dataclass(eq=False)
class QuantizationMismatch(SourceError):
    """A part of a quantized layer contradicts the others, or what the configuration says of all."""

    tensor: str
    setting: str
    expected: str
    found: str


@dataclass(eq=False)
class GptqConfigMissing(SourceError):
    """There are GPTQ weights in the folder `path`, but no config.json, neither there nor by the tokenizer."""
