"""The bundle's files as NSIS copies and removes them: one by one, so that nothing else is removed."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from product import PackagingError

_LONGEST = 1000
"""NSIS keeps texts of at most 1,023 characters; what a variable becomes has to fit as well."""


def payload_script(bundle: Path) -> str:
    """The macros InstallPayload and RemovePayload. Raises PackagingError for what NSIS can't carry."""
    files = sorted(path for path in bundle.rglob("*") if not path.is_dir())
    folders = sorted({path.parent for path in files} | {path for path in bundle.rglob("*") if path.is_dir()})
    for path in bundle.rglob("*"):
        if path.is_symlink():
            raise PackagingError(
                f"{path} is a link, which a folder for Windows can't hold; rebuild the bundle"
            )
        if "${" in str(path) or '"' in str(path):
            raise PackagingError(f"{path} has characters that NSIS takes for its own; rename it")
    lines = ["!macro InstallPayload"]
    for folder in folders:
        lines.append(f'  SetOutPath "{_installed(folder, bundle)}"')
        # Here, unlike in the names of what is installed, a dollar sign stands for itself.
        lines += [f'  File "{path}"' for path in files if path.parent == folder]
    lines += ['  SetOutPath "$INSTDIR"', "!macroend", "!macro RemovePayload"]
    lines += [f'  Delete "{_installed(path, bundle)}"' for path in files]
    lines += [f'  RMDir "{_installed(folder, bundle)}"' for folder in reversed(folders) if folder != bundle]
    return "\n".join([*lines, "!macroend", ""])


def _installed(path: Path, bundle: Path) -> str:
    inside = PureWindowsPath(path.relative_to(bundle))
    return "$INSTDIR" if path == bundle else f"$INSTDIR\\{_quoted(str(inside))}"


def _quoted(text: str) -> str:
    if len(text) > _LONGEST:
        raise PackagingError(f"{text} is too long a path for NSIS; build in a folder with a shorter name")
    return text.replace("$", "$$")
