"""What a checkpoint says about its own GPTQ quantization, if it says anything.

BELLE's quantizer wrote nothing down. Later tools write quantize_config.json, or `quantization_config` in
config.json; both may be there. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.arch.config import ConfigReader, shorten
from convert.errors import InvalidConfig, UnsupportedQuantization

SETTINGS_FILE = "quantize_config.json"

BITS = (2, 3, 4, 8)
_MAX_GROUP = 1 << 20
_GROUP_NAMES = ("group_size", "groupsize")
_ZERO_MINUS_ONE, _ZERO_ITSELF = "gptq", "gptq_v2"


@dataclass(frozen=True)
class GptqSettings:
    """None stands for what nobody said. group_weights: 0 is a whole column.

    is_symmetric: the zero point is the middle of the range, in every group (`sym`). has_own_order: inputs may
    be in groups in another order than their own (`desc_act`). stores_zero_itself: instead of the zero point
    minus one. is_later_tool: not BELLE's quantizer.
    """

    bits: int | None = None
    group_weights: int | None = None
    is_symmetric: bool | None = None
    has_own_order: bool | None = None
    stores_zero_itself: bool | None = None
    is_later_tool: bool = False


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
    said = [{name: value for name, value in asdict(each).items() if value is not None} for each in found]
    if any(said[0][name] != said[-1][name] for name in said[0].keys() & said[-1].keys()):
        raise InvalidConfig(own_path, "quantization_config", f"other than in {config_path.name}")
    return GptqSettings(**said[0] | said[-1])


def _parse(path: Path, values: Mapping[str, Any]) -> GptqSettings:
    reader = ConfigReader(path, values)
    method = values.get("quant_method", "gptq")
    layout = values.get("checkpoint_format", values.get("format"))
    if method != "gptq":
        raise UnsupportedQuantization(path, "quant_method", shorten(method))
    if layout not in (None, _ZERO_MINUS_ONE, _ZERO_ITSELF):
        raise UnsupportedQuantization(path, "checkpoint_format", shorten(layout))
    if reader.flag("is_marlin_format", default=False):
        raise UnsupportedQuantization(path, "is_marlin_format", "True")
    _refuse_layers_of_their_own(path, values.get("dynamic"))
    bits = reader.integer(["bits"], high=32)
    if bits not in BITS:
        raise UnsupportedQuantization(path, "bits", str(bits))
    is_group_said = any(values.get(name) is not None for name in _GROUP_NAMES)
    group = reader.integer(_GROUP_NAMES, low=-1, high=_MAX_GROUP) if is_group_said else None
    if group == 0:
        raise InvalidConfig(path, "group_size", "0")
    return GptqSettings(
        bits=bits,
        group_weights=None if group is None else max(group, 0),
        is_symmetric=_flag(reader, "sym"),
        has_own_order=_flag(reader, "desc_act"),
        stores_zero_itself=None if layout is None else layout == _ZERO_ITSELF,
        is_later_tool=True,
    )


def _flag(reader: ConfigReader, name: str) -> bool | None:
    return None if reader.config.get(name) is None else reader.flag(name, default=False)


def _refuse_layers_of_their_own(path: Path, dynamic: Any) -> None:
    """`dynamic` maps patterns of layers to settings; one that begins with "-:" leaves layers as they were."""
    is_left_out = isinstance(dynamic, dict) and all(name.startswith("-:") for name in dynamic)
    if dynamic and not is_left_out:
        raise UnsupportedQuantization(path, "dynamic", shorten(dynamic))
