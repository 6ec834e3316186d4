"""CI promises every test: what needs a browser fails there, where elsewhere it is skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / ".ci"


@pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for Debian")
@pytest.mark.parametrize("name", ["run", "slow"])
def test_both_scripts_have_chromium_and_call_themselves_ci(name: str, tmp_path: Path) -> None:
    assert "\n. .ci/prepare\n" in (SCRIPTS / name).read_text(encoding="utf-8")
    called = tmp_path / "called"
    for program in ("uv", "id", "apt-get", "localedef"):
        path = tmp_path / program
        path.write_text(f'#!/bin/sh\necho "{program} $*" >>"{called}"\necho 0\n')
        path.chmod(0o755)

    result = subprocess.run(
        ["/bin/bash", "-euc", '. .ci/prepare; echo "CI=$CI"'],
        cwd=SCRIPTS.parent,
        env={"PATH": str(tmp_path) + os.pathsep + "/usr/bin/nothing"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert "CI=true" in result.stdout
    assert re.search("apt-get install .*chromium", called.read_text())
