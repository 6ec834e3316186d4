"""The finished packages, run as a stranger would: another user, a machine with nothing on it, no network.

CHATBELLE_PACKAGES is the folder with the tarball and the .deb that `linux.installers` wrote. Without it
these tests are skipped; where CI is true they fail instead.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders.bare_machine import TOOLS, BareMachine
from builders.checkpoints import write_bloom
from builders.disks import is_ci

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w-]{16,}/")
CHECKPOINT = Path("/srv/小模型")
GREETING = "ChatBELLE"
WAIT_MS = 120_000
_SPOKEN = "node => [node, ...node.querySelectorAll('*')].map(one => one.ariaLabel || '').join('')"


@dataclass(frozen=True)
class Installed:
    """The product on a bare machine, and where its programs are there."""

    machine: BareMachine
    chatbelle: Path
    belle_convert: Path


def _missing(what: str) -> None:
    if is_ci():
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder with the packages."""
    folder = os.environ.get("CHATBELLE_PACKAGES")
    if folder is None:
        _missing("CHATBELLE_PACKAGES is not set")
        raise AssertionError
    if os.geteuid() != 0:
        _missing("a bare machine can only be made by root")
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        _missing(f"not installed: {', '.join(missing)}")
    return Path(folder)


@pytest.fixture(scope="module", params=["tarball", "deb"])
def installed(
    request: pytest.FixtureRequest, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """Either package, on a machine that has what the .deb depends on and nothing else."""
    deb, tarball = _only(packages, "*.deb"), _only(packages, "*.tar.xz")
    field = subprocess.run(["dpkg-deb", "--field", deb, "Depends"], capture_output=True, check=True)
    needed = [one.split()[0] for one in field.stdout.decode().split(",")]
    machine = BareMachine(tmp_path_factory.mktemp("bare") / "machine", needed)
    write_bloom(machine.root / CHECKPOINT.relative_to("/"), dtype="f16")
    if request.param == "deb":
        _install(deb, machine.root)
        return Installed(machine, Path("/usr/bin/chatbelle"), Path("/usr/bin/belle-convert"))
    folder = Path("/opt/下载 文件")
    with tarfile.open(tarball) as archive:
        archive.extractall(machine.root / folder.relative_to("/"), filter="data")
    top = folder / "ChatBELLE"
    return Installed(machine, top / "chatbelle", top / "belle-convert")


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did on a machine, /tmp is empty after it."""
    yield
    if "installed" in request.fixturenames:
        installed: Installed = request.getfixturevalue("installed")
        assert installed.machine.left_in_tmp() == []


def test_the_demo_answers(installed: Installed) -> None:
    done = installed.machine.run(installed.chatbelle, "chat", "--temperature", "0", "你好")

    assert (done.returncode, GREETING in done.stdout) == (0, True), done.stderr


def test_the_language_is_the_systems_even_where_its_locale_is_not_installed(installed: Installed) -> None:
    done = installed.machine.run(installed.chatbelle, "--help")

    assert done.stdout.startswith("用法：chatbelle")


def test_a_checkpoint_is_converted_and_answers(installed: Installed) -> None:
    machine, model = installed.machine, installed.machine.data / "models" / "小模型.gguf"
    machine.run(installed.chatbelle, "chat", "你好")  # makes the data folder
    (machine.outside(model).parent).mkdir(exist_ok=True)
    os.chown(machine.outside(model).parent, machine.user, machine.user)

    told = machine.run(installed.belle_convert, "inspect", "--json", CHECKPOINT)
    converted = machine.run(installed.belle_convert, "to-gguf", "--type", "q4_k_m", CHECKPOINT, model)
    answered = machine.run(
        installed.chatbelle, "chat", "--model", "小模型", "--max-tokens", "4", "--json", "你好"
    )

    assert json.loads(told.stdout)
    assert converted.returncode == 0, converted.stderr
    assert machine.outside(model).is_file()
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)


def test_the_self_test_passes(installed: Installed) -> None:
    done = installed.machine.run(installed.chatbelle, "self-test", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


def test_the_page_and_its_parts_are_served_and_nobody_else_gets_them(installed: Installed) -> None:
    machine = installed.machine
    with machine.started(installed.chatbelle, "--web", "--no-browser") as app:
        address = _read_address(app)
        page = machine.fetch(app, address).decode()
        for part in ("main.dart.js", "canvaskit/canvaskit.wasm", "fonts/NotoSansSC-Regular.ttf"):
            assert len(machine.fetch(app, address + part)) > 1_000_000
        with pytest.raises(AssertionError, match="HTTP Error 4"):
            machine.fetch(app, address.rsplit("/", 2)[0] + "/main.dart.js")
        machine.processes(app, "chatbelle")[0].send_signal(signal.SIGTERM)
        code = app.wait(60)

    assert "flutter_bootstrap.js" in page
    assert code == 0


def test_a_question_is_asked_and_answered_in_a_browser(installed: Installed, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        _missing("Chromium is not installed")
        raise AssertionError
    machine = installed.machine
    with (
        machine.started(installed.chatbelle, "--web", "--no-browser") as app,
        playwright.sync_playwright() as play,
    ):
        address = _read_address(app)
        program = machine.beside(app, chromium, tmp_path / "browser")
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)
        # Flutter builds the tree for screen readers, in which we look for things, when it is asked to.
        switch = page.locator("flt-semantics-placeholder")
        switch.wait_for(state="attached", timeout=WAIT_MS)
        switch.dispatch_event("click")
        _click(page, "example-0")
        _click(page, "send")
        page.locator(_named("regenerate")).first.wait_for(state="attached", timeout=WAIT_MS)
        answer = page.locator(_named("last-reply")).first.evaluate(_SPOKEN)
        browser.close()

    assert answer.strip()


def test_an_engine_that_is_killed_comes_back(installed: Installed) -> None:
    with installed.machine.started(installed.chatbelle, "chat", "--temperature", "0") as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        chat.stdin.write("你好\n")
        first = chat.stdout.readline()
        _program, engine = installed.machine.processes(chat, "chatbelle")
        engine.kill()
        engine.wait(30)
        chat.stdin.write("你是谁？\n")
        second = chat.stdout.readline()
        chat.stdin.close()
        code = chat.wait(60)

    assert GREETING in first
    assert GREETING in second
    assert code == 0


def test_everything_works_without_a_temporary_folder(installed: Installed) -> None:
    machine = installed.machine
    with machine.without_tmp():
        answered = machine.run(installed.chatbelle, "chat", "--temperature", "0", "你好")
        inspected = machine.run(installed.belle_convert, "inspect", "--json", CHECKPOINT)

    assert (answered.returncode, GREETING in answered.stdout) == (0, True), answered.stderr
    assert inspected.returncode == 0, inspected.stderr


def test_nothing_but_this_machine_is_spoken_to(installed: Installed, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    assert installed.machine.foreign_connections(trace, installed.chatbelle, "chat", "你好") == []
    assert installed.machine.foreign_connections(trace, installed.chatbelle, "models", "list") == []
    assert installed.machine.foreign_connections(trace, installed.belle_convert, "inspect", CHECKPOINT) == []


def test_the_program_itself_is_not_written_to(installed: Installed) -> None:
    """The machine's root is read-only, so that a program that tried would have failed: here is the proof."""
    machine = installed.machine
    machine.run(installed.chatbelle, "chat", "你好")
    users = [path for path in machine.root.rglob("*") if path.lstat().st_uid == machine.user]

    assert users == []
    assert machine.outside(machine.data).is_dir()


def test_the_whole_package_can_be_purged(packages: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    _install(_only(packages, "*.deb"), system)
    verified = subprocess.run(["dpkg", f"--root={system}", "--verify"], capture_output=True, check=True)
    assert verified.stdout == b""
    subprocess.run(["dpkg", f"--root={system}", "--log=/dev/null", "--purge", "chatbelle"], check=True)

    assert [path.name for path in system.iterdir()] == ["var"]


def test_lintian_has_nothing_to_say(packages: Path) -> None:
    if shutil.which("lintian") is None:
        _missing("lintian is not installed")
    command = ["lintian", "--fail-on", "error,warning", "--allow-root", _only(packages, "*.deb")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    assert (done.returncode, done.stdout) == (0, "")


def _named(identifier: str) -> str:
    return f'[flt-semantics-identifier="{identifier}"]'


def _click(page: Any, identifier: str) -> None:
    """Click in the middle of a control: Flutter's nodes overlap, so that Playwright's own click refuses."""
    node = page.locator(_named(identifier)).first
    node.wait_for(state="attached", timeout=WAIT_MS)
    page.wait_for_timeout(1000)  # while the page is laid out, things move
    box = node.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(300)


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} must hold one {pattern}, and holds {len(found)}"
    return found[0]


def _install(deb: Path, system: Path) -> None:
    database = system / "var" / "lib" / "dpkg"
    (database / "updates").mkdir(parents=True)
    (database / "info").mkdir()
    for name in ("status", "available"):
        (database / name).touch()
    # What it depends on is there, but this database does not say so.
    options = ("--force-depends", "--log=/dev/null")
    subprocess.run(["dpkg", f"--root={system}", *options, "--install", deb], check=True, capture_output=True)


def _read_address(app: subprocess.Popen[str]) -> str:
    assert app.stdout is not None
    for line in app.stdout:
        if ADDRESS.fullmatch(line.strip()):
            return line.strip()
    raise AssertionError("the app has shown no address")
