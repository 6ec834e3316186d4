"""The real program in a process of its own, and a real Chromium that looks at it.

The program reaches no hub but the one on loopback that a test starts (`hub`); its trash is the test's own.
Without Chromium or Playwright these tests are skipped with a reason; where CI is true they fail instead.
Screenshots of failed tests go to the folder that E2E_SCREENSHOTS names, else to the test's temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from builders.disks import is_ci
from builders.hub import LocalHub

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w-]{16,}/")
WAIT_S = float(os.environ.get("E2E_WAIT_S", "120"))
NO_HUB = "http://127.0.0.1:9"
BELLE = "BelleGroup/BELLE-7B-2M"


def _missing(what: str) -> None:
    if is_ci():
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


def _is_about_networks(name: str) -> bool:
    return name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy")


class Server:
    """`chatbelle gui --web --no-browser` on a data folder; ended by `stop`, `kill` or the fixture.

    hub: the address of the only hub it knows. environ: more variables of its environment. program: another
    program instead, which writes its address as well.
    """

    def __init__(
        self,
        home: Path,
        *,
        language: str = "en",
        arguments: tuple[str, ...] = (),
        hub: str = NO_HUB,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "app.cli", "gui", "--web", "--no-browser"),
    ) -> None:
        self.home = home
        self.trash = home.parent / "share" / "Trash" / "files"
        locale = "zh_CN.UTF-8" if language == "zh-CN" else "C.UTF-8"
        kept = {name: value for name, value in os.environ.items() if not _is_about_networks(name)}
        own = {"CHATBELLE_HOME": str(home), "LC_ALL": locale, "PYTHONPATH": str(ROOT)}
        own |= {"PYTHONIOENCODING": "utf-8", "XDG_DATA_HOME": str(home.parent / "share")}
        own |= {"HF_ENDPOINT": hub, "CHATBELLE_MIRRORS": "", "HF_HOME": str(home.parent / "hf")}
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**kept, **own, **(environ or {})},
            cwd=home.parent,
        )
        self.errors: list[str] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self.address = self._read_address()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def _read_address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if ADDRESS.fullmatch(line.strip()):
                return line.strip()
        self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        raise AssertionError(f"no address; exit {self.process.returncode}: {''.join(self.errors)}")

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)


class App:
    """The app in a browser tab, seen through its semantics tree."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page = page
        self.server = server
        self.foreign: list[str] = []
        self.messages: list[str] = []
        page.on("request", self._note_request)
        page.on("console", lambda message: self.messages.append(message.text))

    def open(self) -> App:
        """Load the page and switch its semantics on."""
        self.page.goto(self.server.address)
        return self.wait_until_ready()

    def wait_until_ready(self) -> App:
        """After a load or reload: until the prompt is there, or the screen for a file that was opened."""
        self.switch_on_semantics()
        shown = self.find("prompt").or_(self.find("source")).first
        shown.wait_for(state="attached", timeout=WAIT_S * 1000)
        self.page.wait_for_selector("#splash", state="detached", timeout=WAIT_S * 1000)
        return self

    def switch_on_semantics(self) -> None:
        """Flutter builds the tree for screen readers when asked to; on phones by a click in the middle."""
        self.page.wait_for_selector("flt-semantics-placeholder", state="attached", timeout=WAIT_S * 1000)
        self.page.evaluate(
            "() => { const node = document.querySelector('flt-semantics-placeholder');"
            " const box = node.getBoundingClientRect();"
            " const [clientX, clientY] = [box.left + box.width / 2, box.top + box.height / 2];"
            " node.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX, clientY})) }"
        )

    def find(self, identifier: str) -> Any:
        """The locator of a control by its semantics identifier."""
        return self.page.locator(f'[flt-semantics-identifier="{identifier}"]').first

    def has(self, identifier: str) -> bool:
        """Whether the control is on the page now."""
        return bool(self.find(identifier).count())

    def click(self, identifier: str) -> None:
        """Click a control in its middle."""
        self.click_on(self.find(identifier))

    def click_text(self, text: str) -> None:
        """Click what is labelled exactly so."""
        exact = self.page.get_by_text(text, exact=True)
        self.click_on(exact.or_(self.page.get_by_label(text, exact=True)).first)

    def click_on(self, locator: Any) -> None:
        """Click where a located node is; Flutter's nodes overlap, so Playwright's own click would refuse."""
        locator.wait_for(state="attached", timeout=WAIT_S * 1000)
        box = self.wait_for(lambda: self._resting_box(locator), "a place on the page that stays")
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.wait_for_timeout(300)

    def type(self, identifier: str, text: str) -> None:
        """Click into a field and type; all at once, as an input method does."""
        self.click(identifier)
        self.page.wait_for_timeout(500)
        self.page.keyboard.insert_text(text)
        self.page.wait_for_timeout(300)

    def fill(self, identifier: str, text: str) -> None:
        """Type into a field in place of what is there; as in `write`, Flutter may need a second try."""
        for _ in range(3):
            self.click(identifier)
            self.page.wait_for_timeout(500)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.insert_text(text)
            try:
                self.wait_for(lambda: self.value(identifier) == text, f"{text!r} in {identifier}", 5)
                return
            except AssertionError:
                self.page.mouse.click(640, 30)
        raise AssertionError(f"{identifier} takes no text")

    def press(self, label: str) -> None:
        """Click the button with exactly this label; of several, the one on top."""
        self.click_on(self.page.get_by_role("button", name=label, exact=True).last)

    def choose_language(self, name: str) -> None:
        """Switch the app's language in the settings, which stay open."""
        word = {"English": "Settings", "中文": "设置"}[name]
        for _ in range(3):
            self.click("settings")
            self.click_text(name)
            try:
                self.wait_for_label("settings", word, 5)
                return
            except AssertionError:  # clicked while the page was built anew
                continue
        raise AssertionError(f"the language is not {name}")

    def text(self, identifier: str) -> str:
        """What a screen reader would say of a control and all in it; "" where there is none."""
        return str(
            self.page.evaluate(
                "identifier => { const node = document.querySelector("
                "`[flt-semantics-identifier=\"${identifier}\"]`); return node === null ? '' :"
                " [node, ...node.querySelectorAll('*')].map(each => each.getAttribute('aria-label')"
                " || (each.childElementCount ? '' : each.textContent) || each.value || '').join(' ')"
                ".trim() }",
                identifier,
            )
        )

    def value(self, identifier: str) -> str:
        """What is typed into a field."""
        field = self.page.locator(f'[flt-semantics-identifier="{identifier}"]').locator("input, textarea")
        return str(field.first.input_value()) if field.count() else ""

    def page_text(self) -> str:
        """What a screen reader would say of the whole page."""
        return str(
            self.page.evaluate(
                "() => [...document.querySelectorAll('flt-semantics, flt-semantics *')].map(each =>"
                " each.getAttribute('aria-label') || (each.childElementCount ? '' : each.textContent)"
                " || each.value || '').join('\\n')"
            )
        )

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
        """Wait until `condition` is true, and return its value."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never: {what}; the page says: {self.page_text()[:2000]}")

    def wait_for_text(self, text: str, timeout_s: float = WAIT_S) -> None:
        """Wait until the text is anywhere on the page."""
        self.wait_for(lambda: text in self.page_text(), repr(text), timeout_s)

    def wait_for_label(self, identifier: str, text: str, timeout_s: float = WAIT_S) -> None:
        """Wait until a control says the text."""
        self.wait_for(
            lambda: text in self.text(identifier),
            f"{text!r} in {identifier}",
            timeout_s,
        )

    def write(self, text: str) -> None:
        """Type into the prompt.

        When semantics are switched on while the field is being focused, Flutter may miss what the browser's
        own field gets, until the focus was somewhere else; then its hint stays in the tree of names.
        """
        for _ in range(5):
            self.type("prompt", text)
            try:
                self.wait_for(lambda: text in self.text("prompt"), "what was typed", 10)
                return
            except AssertionError:
                self.page.mouse.click(640, 130)
                self.page.wait_for_timeout(500)
        raise AssertionError("the prompt takes no text")

    def ask(self, text: str) -> None:
        """Type a question into the prompt, and send it."""
        self.write(text)
        self.page.keyboard.press("Enter")

    @property
    def reply(self) -> str:
        """The newest answer as it is now."""
        return self.text("last-reply")

    @property
    def is_ready(self) -> bool:
        """Whether the engine has a model and nothing to do."""
        status = self.text("status")
        return "Ready" in status or "就绪" in status

    def wait_for_answer(self) -> str:
        """The newest answer, once it is there whole."""
        self.wait_for(lambda: self.has("regenerate") and self.is_ready, "an answer")
        return self.reply

    @property
    def reached(self) -> list[str]:
        """Addresses outside of this machine that the page asked for and was not kept from asking."""
        blocked = [message for message in self.messages if "Content Security Policy" in message]
        return [url for url in self.foreign if not any(url in message for message in blocked)]

    def screenshot(self, path: Path) -> None:
        """Keep what the page looks like."""
        self.page.screenshot(path=path)

    def _resting_box(self, locator: Any) -> Any:
        """Where it is, once it stays there for a moment: what goes away above it moves it under the click."""
        before = locator.bounding_box()
        self.page.wait_for_timeout(150)
        return before if before == locator.bounding_box() else None

    def _note_request(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("data", "blob") or url.hostname == "127.0.0.1":
            return
        self.foreign.append(request.url)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path."""
    __import__("playwright") if is_ci() else pytest.importorskip("playwright")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        _missing("Chromium is not installed")
    return str(found)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """One Chromium for all tests; every test has its own profile in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh data folder with a name that is not ASCII."""
    return tmp_path / "数据 文件夹"


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Server]]:
    """Start the program on the data folder; what still runs at the end of the test is killed."""
    servers: list[Server] = []

    def start(**options: Any) -> Server:
        servers.append(Server(home, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture
def look(browser: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Open a running program in a new tab; more options are those of Playwright's `new_context`."""
    apps: list[App] = []

    def look(
        server: Server, *, width: int = 1280, height: int = 800, scheme: str = "light", **options: Any
    ) -> App:
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True, **options)
        apps.append(App(context.new_page(), server))
        return apps[-1].open()

    yield look
    failed = getattr(request.node, "failed_call", False)
    folder = Path(os.environ.get("E2E_SCREENSHOTS") or tmp_path)
    for number, app in enumerate(apps):
        if failed and not app.page.is_closed():
            folder.mkdir(parents=True, exist_ok=True)
            app.screenshot(folder / f"{request.node.name}-{number}.png")
        app.page.context.close()


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A hub that has BELLE-7B-2M, but a tiny one: the demo's checkpoint, which really answers."""
    with LocalHub() as hub:
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            hub.add(BELLE, name, ROOT / "assets" / "demo" / name)
        yield hub


@pytest.fixture
def app(start: Callable[..., Server], look: Callable[..., App]) -> App:
    """The program, freshly installed, open in English."""
    return look(start())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember for the fixtures whether the test failed."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        item.failed_call = True  # type: ignore[attr-defined]
