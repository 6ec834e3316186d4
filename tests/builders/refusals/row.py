"""A row of the table of refusals: an input of which one thing is wrong, and what a person is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from builders.refused import Make


@dataclass(frozen=True)
class Refusal:
    """kind: of input. bytes: whether some are missing or wrong. english, chinese: of the sentence."""

    kind: str
    make: Make
    error: str
    english: str
    chinese: str
    bytes: Literal["whole", "wrong"] = "whole"


def damaged(kind: str, make: Make, error: str = "DamagedFile") -> Refusal:
    english, chinese = {
        "TruncatedFile": ("is cut short", "被截断"),
        "DamagedEncryptedFile": ("download it again", "重新下载"),
    }.get(error, ("is damaged", "已损坏"))
    return Refusal(kind, make, error, english, chinese, "wrong")


def invalid(kind: str, make: Make, english: str) -> Refusal:
    return Refusal(kind, make, "InvalidFile", english, "可以读取，但不能用")
