"""Who made what is in a bundle, and under which licence: found in the bundle itself, with all the texts.

Writes the folder `licences`: `index.html` for people, `index.json` for programs, and the texts. A file or a
module that belongs to nobody known stops the build.
"""

from __future__ import annotations

import html
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from PyInstaller.archive.readers import CArchiveReader

from bundle.distribution_licences import expression_of, texts_of
from bundle.index import Entry, licences_folder, write_index
from bundle.native_licences import NativeComponent, native_components
from bundle.programs import PROGRAMS
from product import PackagingError

_CONTENT_FOLDERS = ("_internal", "Contents/Frameworks", "Contents/Resources")
_PROGRAM_FOLDERS = (".", "Contents/MacOS")
_BUNDLER = "pyinstaller"
_BUNDLER_MODULES = ("pyimod", "_pyi_", "_pyinstaller", "pyi_", "runtime_hook", "entry_")
_FONTS = (".ttf", ".otf", ".woff", ".woff2")
_NOT_A_PART = ("__pycache__", "bin", "..")

# What makes a folder an app for macOS, and is made with it.
_APP_PARTS = ("Contents/Info.plist", "Contents/_CodeSignature/*", "Contents/Resources/ChatBELLE.icns")

# Flutter, Skia and all packages in Flet's client: it brings their notices.
_CLIENT = "flet-web"
_NOTICES = "flet_web/web/assets/NOTICES"


@dataclass(frozen=True)
class Component:
    """One thing that somebody made. licence: in SPDX's words.

    covers: patterns of files, from the bundle's top. modules: top-level Python modules. texts: files to copy.
    """

    name: str
    version: str
    licence: str
    covers: tuple[str, ...]
    texts: tuple[Path, ...]
    modules: tuple[str, ...] = ()


def write_licences(bundle: Path) -> None:
    """Make the folder. Raises PackagingError for a part without a licence, or a licence without a text."""
    folder = licences_folder(bundle)
    shutil.rmtree(folder, ignore_errors=True)
    components = find_components(bundle)
    unknown = unlicensed(bundle, components)
    if unknown:
        raise PackagingError(f"nobody known made these parts of {bundle}: {', '.join(unknown[:20])}")
    folder.mkdir()
    entries = [_copy_texts(component, bundle) for component in components]
    write_index(bundle, entries)
    (folder / "index.html").write_text(_page(entries), encoding="utf-8")


def unlicensed(bundle: Path, components: list[Component]) -> list[str]:
    """Files and modules of the bundle that no component covers; a font has to be named by itself."""
    patterns = [pattern for component in components for pattern in component.covers]
    whole = [pattern for pattern in patterns if not pattern.endswith("/*")]
    known = {module for component in components for module in component.modules}
    files = []
    for path in (path.relative_to(bundle).as_posix() for path in _files(bundle)):
        covering = whole if path.endswith(_FONTS) else patterns
        if not any(fnmatch(path, pattern) for pattern in covering):
            files.append(path)
    return files + sorted(module for module in bundled_modules(bundle) if module not in known)


def find_components(bundle: Path) -> list[Component]:
    """Everything that is inside, by name; the product itself is the first."""
    modules = bundled_modules(bundle)
    found = [_distribution(one, bundle, modules) for one in distributions()]
    parts = sorted((one for one in found if one is not None), key=lambda one: one.name.casefold())
    own = [one for one in parts if one.name == "chatbelle"]
    files = [path.relative_to(bundle).as_posix() for path in _files(bundle)]
    python = tuple(module for module in modules if module in sys.stdlib_module_names or _is_generated(module))
    native = [_native(one, bundle, files, python) for one in native_components()]
    return [*own, *(one for one in parts if one not in own), *(one for one in native if one.covers)]


def _is_generated(module: str) -> bool:
    """How an interpreter was built is in a module named after the system."""
    return module.startswith("_sysconfigdata")


def _native(one: NativeComponent, bundle: Path, files: list[str], python: tuple[str, ...]) -> Component:
    covers = tuple(path for path in files if one.pattern.search(path))
    inside = tuple(bundle / place for text in one.texts_inside for place in _places(bundle, [text]))
    modules = python if one.is_python else ()
    return Component(one.name, one.version, one.licence, covers, one.texts + inside, modules)


def bundled_modules(bundle: Path) -> set[str]:
    """Top-level names of all Python modules in the bundle's programs."""
    names: set[str] = set()
    for program in program_files(bundle):
        archive = CArchiveReader(str(program))
        for entry in archive.toc:
            if entry.endswith(".pyz"):
                names.update(name.partition(".")[0] for name in archive.open_embedded_archive(entry).toc)
    return names


def program_files(bundle: Path) -> Iterator[Path]:
    """The bundle's executables."""
    for program in PROGRAMS[sys.platform]:
        names = dict.fromkeys(program.file_names)
        places = [bundle / folder / name for folder in _PROGRAM_FOLDERS for name in names]
        yield from (path for path in places if path.is_file())


def _files(bundle: Path) -> Iterator[Path]:
    licences = licences_folder(bundle)
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and not path.is_symlink() and licences not in path.parents:
            yield path


def _distribution(distribution: Distribution, bundle: Path, modules: set[str]) -> Component | None:
    """None if nothing of it is in the bundle."""
    name = canonicalize_name(distribution.name)
    tops = {Path(str(path)).parts[0] for path in distribution.files or ()}.difference(_NOT_A_PART)
    own_modules = tuple(module for module in modules if module in tops or f"{module}.py" in tops)
    covers = tuple(_places(bundle, tops))
    if name == _BUNDLER:
        covers = tuple(program.relative_to(bundle).as_posix() for program in program_files(bundle))
        own_modules = tuple(module for module in modules if module.startswith(_BUNDLER_MODULES))
    if name == "chatbelle":
        covers += tuple(pattern for pattern in _APP_PARTS if next(bundle.glob(pattern), None))
    if not covers and not own_modules:
        return None
    texts = texts_of(distribution)
    if name == _CLIENT:
        texts += tuple(bundle / place for place in _places(bundle, [_NOTICES]))
    return Component(name, distribution.version, expression_of(distribution), covers, texts, own_modules)


def _places(bundle: Path, names: Iterable[str]) -> Iterator[str]:
    """Where files or folders of these names are in the bundle, as patterns."""
    for folder in _CONTENT_FOLDERS:
        for name in sorted(names):
            path = bundle / folder / name
            if path.exists():
                yield f"{folder}/{name}/*" if path.is_dir() else f"{folder}/{name}"


def _copy_texts(component: Component, bundle: Path) -> Entry:
    """The component's entry in the index; a text that the bundle has anyway is not copied."""
    folder, files = licences_folder(bundle), []
    for text in component.texts:
        if bundle in text.parents:
            files.append(Path(os.path.relpath(text, folder)).as_posix())
            continue
        # A wheel may have several of one name, in folders.
        inside = text.as_posix().rpartition(".dist-info/")
        name = inside[2].removeprefix("licenses/").replace("/", "-") if inside[1] else text.name
        target = folder / component.name / (name if name.endswith(".txt") else f"{name}.txt")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(text, target)
        files.append(target.relative_to(folder).as_posix())
    return Entry(
        component.name,
        component.version,
        component.licence,
        files=tuple(files),
        covers=component.covers,
        modules=tuple(sorted(component.modules)),
    )


def _page(entries: list[Entry]) -> str:
    rows = "".join(_row(entry) for entry in entries)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ChatBELLE: licences / 许可证</title>
<style>body{{font-family:sans-serif;margin:2em}}td,th{{text-align:left;padding-right:1em}}</style></head>
<body><h1>ChatBELLE</h1>
<p>ChatBELLE is under the Apache License, Version 2.0. This folder names everything that others made and that
this copy contains, with its licence.</p>
<p lang="zh-CN">ChatBELLE 采用 Apache 许可证 2.0 版。本文件夹列出此副本中由他人制作的全部内容及其许可证。</p>
<table><tr><th>Name 名称</th><th>Version 版本</th><th>Licence 许可证</th><th>Text 全文</th></tr>
{rows}</table></body></html>
"""


def _row(entry: Entry) -> str:
    name, version, licence = map(html.escape, (entry.name, entry.version, entry.licence))
    names = ((html.escape(file), html.escape(Path(file).name)) for file in entry.files)
    links = " ".join(f'<a href="{file}">{name}</a>' for file, name in names)
    return f"<tr><td>{name}</td><td>{version}</td><td>{licence}</td><td>{links}</td></tr>\n"
