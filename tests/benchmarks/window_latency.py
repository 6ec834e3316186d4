"""How soon the window reacts to a click, with nothing to do and while a model answers.

    python tests/benchmarks/window_latency.py MODEL.gguf [--clicks 20] [--threads N]

The real program and a real Chromium (drawing without a GPU, which takes processor time of its own). A click
opens the settings, which the program builds and the page draws; measured in the page, from the click's own
time stamp to the first of their controls. Both in turn, on the same page.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from app.settings import SettingsStore  # noqa: E402
from e2e.conftest import FLAGS, App, Server  # noqa: E402
from engine.partial_sampling import PartialSampling  # noqa: E402
from engine.types import LoadOptions  # noqa: E402

WATCH = """
() => new Promise(resolve => {
  let clicked = null;
  addEventListener('pointerdown', event => { clicked = event.timeStamp; }, {once: true, capture: true});
  const look = () => {
    if (clicked !== null && document.querySelector('[flt-semantics-identifier="font-size"]')) {
      resolve(performance.now() - clicked);
    } else { requestAnimationFrame(look); }
  };
  look();
})
"""


def react(app: Any) -> float:
    """Milliseconds from a click to the settings; leaves them open."""
    app.page.evaluate(f"void (window.reaction = ({WATCH})())")  # a promise would be waited for
    app.click("settings")
    return float(app.page.evaluate("window.reaction"))


def main() -> None:
    """Measure, print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        (home / "models").mkdir(parents=True)
        (home / "models" / options.model.name).symlink_to(options.model.resolve())
        SettingsStore(home).update(
            default_model=options.model.stem,
            load=LoadOptions(threads=options.threads),
            model_sampling={
                options.model.stem: PartialSampling(temperature=0.7, repetition_penalty=1.0, max_tokens=500)
            },
        )
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        server = Server(home)
        try:
            app = App(browser.new_page(viewport={"width": 1280, "height": 800}), server).open()
            found: dict[str, list[float]] = {"nothing to do": [], "answering": []}
            for _ in range(options.clicks):
                found["nothing to do"].append(react(app))
                app.click("new-chat")
                app.ask("Tell me a very long story about a dog and a river, with many chapters.")
                app.wait_for(lambda: "Answering" in app.text("status"), "an answer")
                app.page.wait_for_timeout(500)
                found["answering"].append(react(app))
                app.click("new-chat")
                app.wait_for(lambda: "Answering" not in app.text("status"), "the end of the answer")
        finally:
            server.kill()
            browser.close()
    for name, values in found.items():
        middle, highest = statistics.median(values), max(values)
        sys.stdout.write(f"{name}: median {middle:.0f} ms, {min(values):.0f} to {highest:.0f} ms\n")


if __name__ == "__main__":
    main()
