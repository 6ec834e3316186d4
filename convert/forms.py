"""The forms of checkpoints that can be converted: one registry for what `inspect` says and for the READMEs.

    python -m convert.forms [en | zh-CN]

prints the table of the READMEs. What a form holds and needs is worded in `convert.i18n`, under `form.<key>`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from convert.i18n import LANGUAGES, Catalog, Language

TABLE_START, TABLE_END = "<!-- forms: python -m convert.forms -->", "<!-- /forms -->"
"""What the table stands between in a README."""

_COLUMNS = ("name", "read", "needs")


@dataclass(frozen=True)
class Form:
    """`label` is how `inspect` begins its line, followed by what is particular to one checkpoint."""

    key: str
    label: str

    def describe(self, detail: str = "") -> str:
        """For people, in any language: "ggml (2023), ggjt v2, q4_0"."""
        return f"{self.label}, {detail}" if detail else self.label


SAFETENSORS = Form("safetensors", "safetensors")
TORCH = Form("torch", "PyTorch")
GPTQ = Form("gptq", "GPTQ")
AWQ = Form("awq", "AWQ")
FP8 = Form("fp8", "FP8")
BITSANDBYTES = Form("bitsandbytes", "bitsandbytes")
META = Form("meta", "Meta LLaMA")
GGML = Form("ggml", "ggml (2023)")
BLOOMZ_CPP = Form("bloomz_cpp", "bloomz.cpp")
# These two go with any of the others.
ENCRYPTED = Form("encrypted", ".enc")
LORA = Form("lora", "LoRA")

FORMS: Mapping[str, Form] = {
    form.key: form
    for form in (
        *(SAFETENSORS, TORCH, GPTQ, AWQ, FP8, BITSANDBYTES, META, GGML, BLOOMZ_CPP, ENCRYPTED, LORA),
    )
}


def forms_table(catalog: Catalog, language: Language) -> str:
    """The table of the READMEs, in Markdown."""
    lines = [_row(catalog.text(f"form.{column}", language) for column in _COLUMNS), "|---|---|---|\n"]
    for key in FORMS:
        lines.append(_row(catalog.text(f"form.{key}.{column}", language) for column in _COLUMNS))
    return "".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def main(arguments: Sequence[str]) -> None:
    """Print the table in each language asked for."""
    for language in LANGUAGES:
        if language in arguments or not arguments:
            sys.stdout.write(forms_table(Catalog("convert.i18n"), language) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
