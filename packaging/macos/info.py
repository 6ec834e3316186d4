"""What macOS is told of the app: its name, what it opens, in which languages, on which systems it runs."""

from __future__ import annotations

from typing import Any

from product import NAME, find_product

MINIMUM_SYSTEM = "13.3"
"""The oldest macOS on which all that is inside runs; `macos.machine_code` checks every file against it. The
build has to set MACOSX_DEPLOYMENT_TARGET to it, or wheels and compilers take the machine's own version.
"""

LANGUAGES = ("en", "zh-Hans")

_MODEL_TYPE = "org.ggml.gguf"
MODEL_TYPE_NAMES = {"en": "GGUF model", "zh-Hans": "GGUF 模型"}


def info_plist() -> dict[str, Any]:
    """The values of Info.plist, beside those that PyInstaller sets. Raises PackagingError."""
    version = ".".join(map(str, find_product().numbers[:3]))
    return {
        # PyInstaller takes the first program, and what the last one is: one for the terminal.
        "CFBundleExecutable": NAME,
        "LSBackgroundOnly": False,
        "CFBundleName": NAME,
        "CFBundleDisplayName": NAME,
        "CFBundleShortVersionString": version,
        "CFBundleVersion": version,
        "CFBundleDevelopmentRegion": LANGUAGES[0],
        "CFBundleLocalizations": [*LANGUAGES],
        "CFBundleDocumentTypes": [
            {
                "CFBundleTypeName": MODEL_TYPE_NAMES[LANGUAGES[0]],
                "CFBundleTypeRole": "Viewer",
                "LSItemContentTypes": [_MODEL_TYPE],
                "LSHandlerRank": "Alternate",
            },
            {
                # A checkpoint is a folder; it is dropped on the icon.
                "CFBundleTypeName": "Folder",
                "CFBundleTypeRole": "Viewer",
                "LSItemContentTypes": ["public.folder"],
                "LSHandlerRank": "Alternate",
            },
        ],
        # Imported, not exported: the format is llama.cpp's.
        "UTImportedTypeDeclarations": [
            {
                "UTTypeIdentifier": _MODEL_TYPE,
                "UTTypeDescription": MODEL_TYPE_NAMES[LANGUAGES[0]],
                "UTTypeConformsTo": ["public.data"],
                "UTTypeTagSpecification": {"public.filename-extension": ["gguf"]},
            }
        ],
        "LSApplicationCategoryType": "public.app-category.productivity",
        "LSMinimumSystemVersion": MINIMUM_SYSTEM,
        "NSHighResolutionCapable": True,
        "NSHumanReadableCopyright": "Apache-2.0",
        # The page comes from a server of the app's own on this machine, without TLS.
        "NSAppTransportSecurity": {"NSAllowsLocalNetworking": True},
    }


def type_names(language: str) -> str:
    """The file InfoPlist.strings of a language: what Finder calls the app's file types."""
    name = MODEL_TYPE_NAMES[language]
    return f'"{MODEL_TYPE_NAMES[LANGUAGES[0]]}" = "{name}";\n'
