"""The pyproject.toml from which `flet build` makes an app for phones: what to install, and how to present it.

Dependencies are those of the project whose markers hold on a phone; nothing is listed twice. Keys are Flet
1.0.5's (`flet_cli/commands/build_base.py`). Knows no file of the app.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from packaging.requirements import Requirement

from product import APP_ID, NAME

# sys.platform names phones from Python 3.13 on; the engine's wheels for phones end at 3.14.
_PYTHON = ">=3.13,<3.15"
_SYSTEMS = ("Android", "iOS")
_LIGHT, _DARK, _ICON_BACKGROUND = "#F4FBFA", "#0E1514", "#E6F2F0"

Table = Mapping[str, Any]


def phone_dependencies(dependencies: list[str]) -> list[str]:
    """The requirements that hold on a phone, without markers.

    Raises ValueError where the systems would get different ones: Flet builds all from one list.
    """
    android, ios = ([_for(line, system) for line in dependencies] for system in _SYSTEMS)
    if android != ios:
        raise ValueError(f"Android would get {android}, iOS {ios}")
    return [found for found in android if found is not None]


def flet_project(project: Table) -> Table:
    """The whole of the staged pyproject.toml. project: the table of that name in the project's own."""
    return {
        "project": {
            "name": project["name"],
            "version": project["version"],
            "description": project["description"],
            "requires-python": _PYTHON,
            "dependencies": phone_dependencies(project["dependencies"]),
        },
        "tool": {"flet": _flet()},
    }


def to_toml(table: Table, path: tuple[str, ...] = ()) -> str:
    """A table of strings, numbers, truth values, lists of them and tables, as TOML."""
    values = [f"{_key(name)} = {_value(value)}\n" for name, value in table.items() if not _is_table(value)]
    head = f"[{'.'.join(map(_key, path))}]\n" if values and path else ""
    parts = [head + "".join(values)] if values else []
    parts += [to_toml(value, (*path, name)) for name, value in table.items() if _is_table(value)]
    return "\n".join(parts)


def _flet() -> Table:
    return {
        "product": NAME,  # in Chinese as well
        "org": APP_ID.rpartition(".")[0],
        "bundle_id": APP_ID,
        "icon_background": _ICON_BACKGROUND,
        "splash": {"color": _LIGHT, "dark_color": _DARK},
        # Compiled by the very Python that goes into the app; its own needs only.
        "compile": {"app": True, "packages": True},
        "cleanup": {"package_files": ["llama_cpp/server", "numpy/f2py", "**/__pycache__"]},
        "android": {
            "min_sdk_version": 24,  # what Flet's Python is built for
            "target_arch": ["arm64-v8a", "x86_64"],  # phones, and emulators
            "split_per_abi": True,
            "adaptive_icon_background": _ICON_BACKGROUND,
            "permission": {"android.permission.INTERNET": True},
            # Neither models of gigabytes nor conversations go to the backup in somebody's cloud.
            "manifest_application": {"allowBackup": "false"},
        },
        "ios": {
            "info": {
                "CFBundleLocalizations": ["en", "zh-Hans"],
                "ITSAppUsesNonExemptEncryption": False,  # nothing but the system's HTTPS
            },
        },
    }


def _for(line: str, system: str) -> str | None:
    requirement = Requirement(line)
    if requirement.marker is not None:
        if not requirement.marker.evaluate({"platform_system": system}):
            return None
        requirement.marker = None
    return str(requirement)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    is_bare = all(sign.isalnum() or sign in "-_" for sign in name) and name.isascii()
    return name if is_bare else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # of these kinds JSON and TOML write the same
