"""The import arrows of the design, heavy libraries in named places only, and no foreign host in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "engine", "convert")

# package -> what it may import of ours; the more specific entry wins.
ARROWS: dict[str, tuple[str, ...]] = {
    "app": ("app", "engine", "convert", "assets"),
    "engine": ("engine",),
    "convert": (
        *("convert", "engine.native", "engine.prompt", "engine.types", "engine.errors"),
        "engine.installation",
    ),
    "convert/quality": ("convert", "engine"),
    "assets": ("assets", "engine.prompt"),
}

# heavy library -> modules or folders (ending in /) that may import it.
HEAVY: dict[str, tuple[str, ...]] = {
    "llama_cpp": ("engine/native/binding.py",),
    "gguf": ("convert/",),
    "flet": ("app/gui/", "app/views/", "app/components/", "app/main.py"),
    "huggingface_hub": (),
    "httpx": ("engine/models/",),
    "psutil": ("engine/", "convert/pipeline.py"),
    "numpy": ("engine/llama.py", "engine/penalties.py", "engine/native/", "convert/"),
    "jinja2": ("engine/template_sandbox.py",),
    "rich": ("app/commands/", "convert/terminal.py"),
    "markdown_it": ("app/markdown/",),
    "prompt_toolkit": ("app/questions.py",),
    "webview": ("app/gui/system_view.py",),
    "torch": (),
    "transformers": (),
    "tokenizers": (),
    "safetensors": (),
    "sentencepiece": (),
}

# Only as lazy as it takes: these must never be imported when a module that imports them is only loaded.
NEVER_AT_TOP = (
    "llama_cpp",
    "flet",
    "huggingface_hub",
    "psutil",
    "prompt_toolkit",
    "rich",
    "gguf",
    "jinja2",
    "webview",
)
MAY_BE_AT_TOP = (
    "app/gui/",
    "app/views/",
    "app/components/",
    "app/main.py",
    "convert/terminal.py",
    "engine/template_sandbox.py",
)

# What draws, and what it is built on.
SCREENS = ("app.components", "app.views", "app.gui", "app.main")
WITHOUT_SCREENS = ("app/models/", "app/chat/", "app/history/")


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"), name)


def _imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported anywhere, the imported attribute included: it may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports_at_load(tree: ast.Module) -> Iterator[str]:
    """Those that run when the module is loaded: not in functions, not under TYPE_CHECKING."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node)
        waiting += ast.iter_child_nodes(node)


def _is_within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _allowed(module: str) -> tuple[str, ...]:
    found = [key for key in ARROWS if module == f"{key}.py" or module.startswith(f"{key}/")]
    return ARROWS[max(found, key=len)]


def _is_at(module: str, places: tuple[str, ...]) -> bool:
    return any(module.startswith(place) if place.endswith("/") else module == place for place in places)


def test_arrows_are_respected() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in _sources()
        for name in _imports(tree)
        if _is_within(name, (*PACKAGES, "assets", "tests", "packaging"))
        and not _is_within(name, _allowed(module))
    ]

    assert wrong == []


def test_heavy_libraries_stay_in_their_places() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in _sources()
        for name in _imports(tree)
        for library in HEAVY
        if _is_within(name, (library,)) and not _is_at(module, HEAVY[library])
    ]

    assert wrong == []


def test_heavy_libraries_are_loaded_when_they_are_needed() -> None:
    wrong = [
        f"{module} imports {name} when it is loaded"
        for module, tree in _sources()
        for name in _imports_at_load(tree)
        if _is_within(name, NEVER_AT_TOP) and not _is_at(module, MAY_BE_AT_TOP)
    ]

    assert wrong == []


def test_what_the_screens_are_built_on_knows_no_screen() -> None:
    """Models, chats and history work without a window: in the terminal, and in these tests."""
    wrong = [
        f"{module} imports {name}"
        for module, tree in _sources()
        for name in _imports(tree)
        if _is_at(module, WITHOUT_SCREENS) and _is_within(name, (*SCREENS, "flet"))
    ]

    assert wrong == []


def test_nothing_of_a_screen_is_loaded_with_what_it_is_built_on() -> None:
    modules = [
        module.removesuffix(".py").replace("/", ".")
        for module, _ in _sources()
        if _is_at(module, WITHOUT_SCREENS)
    ]
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    assert [name for name in found.stdout.split() if _is_within(name, (*SCREENS, "flet"))] == []


@pytest.mark.parametrize("program", ["app.cli", "convert.cli"])
def test_help_needs_nothing_heavy(program: str) -> None:
    script = f"import sys, {program}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    assert not set(found.stdout.split()) & {*HEAVY, "platformdirs", "asyncio"}


def test_nothing_catches_every_exception_but_the_outermost() -> None:
    """A bare `except Exception` hides bugs; the places that may are named in the house style."""
    allowed = (
        "app/cli.py",
        "app/models/jobs.py",
        "app/self_test/run.py",
        "app/views/context.py",
        "engine/worker.py",
    )
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) == "Exception")
        and not _is_at(module, allowed)
    ]

    assert wrong == []


def test_code_reads_assets_as_resources() -> None:
    """A path relative to `__file__` breaks in an archive and in a frozen app."""
    wrong = [
        module
        for module, tree in _sources()
        if any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(tree))
    ]

    assert wrong == []


LOADERS = ("CDLL", "PyDLL", "LoadLibrary")  # Windows' own libraries are never packed


def test_no_library_of_the_system_is_named_where_it_is_loaded() -> None:
    """PyInstaller packs a library whose name it sees in such a call, with all that it links to."""
    wrong = [
        f"{module}:{node.lineno}"
        for module, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in LOADERS
        and any(isinstance(name, ast.Constant) and isinstance(name.value, str) for name in node.args)
    ]

    assert wrong == []


# Hosts are named where the product itself needs them; pages that document a format may be cited.
HOSTS = re.compile(
    rb"\b(?:pypi\.org|pythonhosted\.org|huggingface\.co(?!/docs/)|hf-mirror\.com|modelscope\.cn)\b"
)
MAY_NAME_HOSTS = (
    *("engine/models/endpoints.py", "assets/catalog.json", "assets/sampling.json", "assets/demo/"),
    *("tests/", "README"),
)


def test_no_registry_or_hub_is_named_where_it_is_not_needed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, timeout=60)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    wrong = [
        name
        for name in names
        if not name.startswith(MAY_NAME_HOSTS)
        and (ROOT / name).is_file()
        and HOSTS.search((ROOT / name).read_bytes())
    ]

    assert wrong == []
