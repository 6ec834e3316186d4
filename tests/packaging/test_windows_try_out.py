"""The trial of an installer on Windows, here with programs that only behave like it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from product import PackagingError
from windows.try_out import try_out

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

_SETUP = """#!/bin/sh
set -e
folder='{local}/Programs/ChatBELLE'
mkdir -p "$folder"
for name in ChatBELLE.exe chatbelle.com belle-convert.exe uninstall.exe; do
  printf '#!/bin/sh\\n' > "$folder/$name"
  chmod 755 "$folder/$name"
done
cat >> "$folder/chatbelle.com" <<'END'
[ "$*" = "self-test --json" ] || exit 3
{test}
END
cat >> "$folder/uninstall.exe" <<'END'
(sleep 0.3; {remove}) > /dev/null 2>&1 &
END
"""


def write_setup(
    tmp_path: Path, test: str = "echo '{\"ok\": true}'", remove: str = 'rm -r "$(dirname "$0")"'
) -> Path:
    path = tmp_path / "setup.exe"
    path.write_text(_SETUP.format(local=tmp_path / "local", test=test, remove=remove))
    path.chmod(0o755)
    return path


def test_it_is_installed_tested_and_removed(tmp_path: Path) -> None:
    report = try_out(write_setup(tmp_path), tmp_path / "local")

    assert report == '{"ok": true}\n'
    assert [*(tmp_path / "local" / "Programs").iterdir()] == []


def test_a_failed_self_test_is_told_with_its_report(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="the self-test ended with 1: no CPU backend"):
        try_out(write_setup(tmp_path, test="echo no CPU backend; exit 1"), tmp_path / "local")


def test_what_the_uninstaller_leaves_is_named(tmp_path: Path) -> None:
    setup = write_setup(tmp_path, remove='rm "$(dirname "$0")"/*.exe')

    with pytest.raises(PackagingError, match=r"left in .*: chatbelle\.com"):
        try_out(setup, tmp_path / "local", wait_s=2.0)


def test_an_installer_that_installs_nothing_is_told(tmp_path: Path) -> None:
    setup = tmp_path / "setup.exe"
    setup.write_text("#!/bin/sh\n")
    setup.chmod(0o755)

    with pytest.raises(PackagingError, match=r"the installer left no ChatBELLE\.exe, chatbelle\.com"):
        try_out(setup, tmp_path / "local")
