"""A machine with almost nothing, whose user may write in one folder only, to run finished programs on.

Its root is a folder of this machine, entered by chroot in namespaces of its own: everything is read-only but
the data folder and /tmp, and the only network is loopback. There is no shell, no Python, and no library but
those of the Debian packages it is made from. Needs root on Debian.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

TOOLS = ("unshare", "nsenter", "chroot", "mount", "ip", "dpkg", "strace")
_USER = 48210  # nobody's number on this machine
_DEVICES = ("null", "zero", "full", "random", "urandom")
# The shell stays as the namespace's first process: programs are not used to being that.
_ENTER = f"""
root=$1 data=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for device in {" ".join(_DEVICES)}; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
mount --bind "$root.data" "$root$data"
if [ -d "$root.tmp" ]; then mount --bind "$root.tmp" "$root/tmp"; fi
ip link set lo up
env -i "$@"
"""
_FETCH = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=30).read())"


class BareMachine:
    """The machine whose root is the folder `root`, which is made here.

    packages: of Debian, installed on this machine too. home, data, user: the user's, as the machine has them.
    """

    def __init__(self, root: Path, packages: Sequence[str]) -> None:
        self.root = root
        self.user = _USER
        self.home = Path("/home/陌生人")
        self.data = self.home / ".local" / "share" / "ChatBELLE"
        self._data, self._tmp = Path(f"{root}.data"), Path(f"{root}.tmp")
        self._copy_libraries(packages)
        for folder in ("dev/shm", "etc", "opt", "proc", "srv", "tmp", str(self.data).lstrip("/")):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for device in _DEVICES:
            (root / "dev" / device).touch()
        user = f"stranger:x:{_USER}:{_USER}::{self.home}:/usr/sbin/nologin\n"
        (root / "etc" / "passwd").write_text(user, encoding="utf-8")
        for folder_outside in (self._data, self._tmp):
            folder_outside.mkdir(mode=0o700)
            os.chown(folder_outside, _USER, _USER)

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, as the user; text in and out is UTF-8.

        tracer: a command of this machine that watches it. Other options go to `subprocess.run`.
        """
        tracer = options.pop("tracer", ())
        settings = {"capture_output": True, "encoding": "utf-8", "timeout": 240}
        if "input" not in options:
            settings["stdin"] = subprocess.DEVNULL
        return subprocess.run(self._enter(command, tracer), **(settings | options))  # noqa: PLW1510

    @contextlib.contextmanager
    def started(self, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
        """A program that runs while the caller looks; then it is asked to end, and nothing stays."""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        with subprocess.Popen(self._enter(command), encoding="utf-8", bufsize=1, **pipes) as process:
            try:
                yield process
            finally:
                self._end(process)

    def foreign_connections(self, trace: Path, *command: str | Path) -> list[str]:
        """Run a program, which must succeed, and return every attempt to reach more than this machine.

        trace: a file that strace may write.
        """
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        done = self.run(*command, tracer=("strace", "-f", "-qq", "-e", calls, "-o", str(trace)))
        assert done.returncode == 0, done.stderr
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
        assert lines, "strace saw nothing"
        own = ('inet_addr("127.', 'inet_pton(AF_INET6, "::1"')
        return [line for line in lines if "sa_family=AF_INET" in line and not any(one in line for one in own)]

    def processes(self, started: subprocess.Popen[str], program: str) -> list[psutil.Process]:
        """The processes below `started` whose program file has this name, the oldest first."""
        below = psutil.Process(started.pid).children(recursive=True)
        found = [one for one in below if os.path.basename(os.readlink(f"/proc/{one.pid}/exe")) == program]
        return sorted(found, key=lambda one: one.create_time())

    def fetch(self, started: subprocess.Popen[str], address: str) -> bytes:
        """What is at an address of the machine's loopback; anything but success fails."""
        inside = psutil.Process(started.pid).children()[0].pid
        enter = ["nsenter", f"--target={inside}", "--net", "--", sys.executable, "-I", "-c", _FETCH, address]
        done = subprocess.run(enter, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def beside(self, started: subprocess.Popen[str], program: str, script: Path) -> Path:
        """Write a script that runs a program of this machine in that one's network."""
        inside = psutil.Process(started.pid).children()[0].pid
        script.write_text(f'#!/bin/sh\nexec nsenter --target={inside} --net -- "{program}" "$@"\n')
        script.chmod(0o755)
        return script

    def left_in_tmp(self) -> list[str]:
        """Names in /tmp, where nothing should stay."""
        return sorted(path.name for path in self._tmp.iterdir())

    def outside(self, path: Path) -> Path:
        """Where this machine has a path that is in the data folder there."""
        return self._data / path.relative_to(self.data)

    @contextlib.contextmanager
    def without_tmp(self) -> Iterator[None]:
        """/tmp can't be written to meanwhile."""
        away = self._tmp.with_name(self._tmp.name + " away")
        self._tmp.rename(away)
        try:
            yield
        finally:
            away.rename(self._tmp)

    def _end(self, started: subprocess.Popen[str]) -> None:
        if started.poll() is not None:
            return
        _shell, program, *_below = psutil.Process(started.pid).children(recursive=True)
        program.terminate()
        try:
            started.wait(60)
        except subprocess.TimeoutExpired:
            started.kill()  # and with it the namespace, and everything in there

    def _enter(self, command: tuple[str | Path, ...], tracer: tuple[str, ...] = ()) -> list[str]:
        environ: Mapping[str, str] = {
            **{"HOME": str(self.home), "USER": "stranger", "PATH": "/usr/bin:/bin"},
            **{"LANG": "zh_CN.UTF-8"},  # not installed here, as on many a server
        }
        namespaces = ("unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL", "--")
        user = (f"--userspec={_USER}:{_USER}", f"--groups={_USER}")
        return [
            *(*namespaces, "sh", "-euc", _ENTER, "sh", str(self.root), str(self.data)),
            *(f"{name}={value}" for name, value in environ.items()),
            *(*tracer, "/usr/sbin/chroot", *user, str(self.root), *map(str, command)),
        ]

    def _copy_libraries(self, packages: Sequence[str]) -> None:
        """What these packages have installed below /lib here, with the links that make it a part of /usr."""
        for folder in ("lib", "lib64"):
            (self.root / "usr" / folder).mkdir(parents=True)
            (self.root / folder).symlink_to(Path("usr", folder))
        listing = subprocess.run(["dpkg", "--listfiles", *packages], capture_output=True, check=True)
        for name in listing.stdout.decode().split("\n"):
            if name.startswith("/lib") and Path(name).is_file():
                target = self.root / name.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, target)
