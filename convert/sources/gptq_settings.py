"""What a checkpoint says about its own GPTQ quantization, if it says anything.

BELLE's quantizer wrote nothing down. Later tools write quantize_config.json, or `quantization_config` in
config.json; both may be there. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.arch.config import ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedQuantization

SETTINGS_FILE = "quantize_config.json"

BITS = (2, 3, 4, 8)
_MAX_GROUP = 1 << 20
_ZERO_MINUS_ONE, _ZERO_ITSELF = "gptq", "gptq_v2"


@dataclass(frozen=True)
class GptqSettings:
    """None stands for what nobody said. group_weights: 0 is a whole column.

    is_later_tool: not BELLE's quantizer. stores_zero_itself: instead of the zero point minus one.
    """

    bits: int | None = None
    group_weights: int | None = None
    is_later_tool: bool = False
    stores_zero_itself: bool = False


def read_settings(
    own_path: Path, own: Mapping[str, Any] | None, config_path: Path, config: Mapping[str, Any]
) -> GptqSettings:
    """The settings in quantize_config.json (`own`, None where there is none) and in config.json.

    Raises `InvalidConfig` where they are impossible or contradict each other, `UnsupportedQuantization` for
    another method than GPTQ.
    """
    embedded = ConfigReader(config_path, config).section("quantization_config").config
    found = [_parse(path, value) for path, value in ((own_path, own), (config_path, embedded)) if value]
    if not found:
        return GptqSettings()
    if len(found) == 2 and found[0] != found[1]:
        raise InvalidConfig(own_path, "quantization_config", f"other than in {config_path.name}")
    return found[0]


def _parse(path: Path, values: Mapping[str, Any]) -> GptqSettings:
    reader = ConfigReader(path, values)
    method = values.get("quant_method", "gptq")
    layout = values.get("checkpoint_format", values.get("format")) or _ZERO_MINUS_ONE
    if method != "gptq":
        raise UnsupportedQuantization(path, "quant_method", shorten(method))
    if layout not in (_ZERO_MINUS_ONE, _ZERO_ITSELF):
        raise UnsupportedQuantization(path, "checkpoint_format", shorten(layout))
    if reader.flag("is_marlin_format", default=False):
        raise UnsupportedQuantization(path, "is_marlin_format", "True")
    if values.get("dynamic"):  # layers of their own settings
        raise UnsupportedQuantization(path, "dynamic", shorten(values["dynamic"]))
    bits = reader.integer(["bits"], high=32)
    if bits not in BITS:
        raise UnsupportedQuantization(path, "bits", str(bits))
    group = reader.integer(["group_size", "groupsize"], low=-1, high=_MAX_GROUP, default=-1)
    if group == 0:
        raise InvalidConfig(path, "group_size", "0")
    return GptqSettings(bits, max(group, 0), is_later_tool=True, stores_zero_itself=layout == _ZERO_ITSELF)
