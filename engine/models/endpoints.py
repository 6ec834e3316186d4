"""Where files come from: the hubs in the order they are tried, and which of them may see the token.

The hubs' host names stand here and nowhere else. Makes addresses; sends nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from engine.models.fetch_errors import NetworkSettingInvalid

HUGGING_FACE = "https://huggingface.co"
HUGGING_FACE_MIRROR = "https://hf-mirror.com"
MODELSCOPE = "https://modelscope.cn"

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_HOST = re.compile(r"[^\s/?#@\\%<>|^]+")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository, at one commit; what is not known is None and taken from the hub.

    name: its path in the repository, with `/`. sha256: hexadecimal, of files in Git LFS; git_sha1: Git's blob
    hash of the others. version: the server's ETag or date of it, where there is no hash. modelscope:
    "owner/name@revision" where ModelScope has the same file. address: where it is fetched from instead of
    any hub.
    """

    repo: str
    revision: str
    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    version: str | None = None
    modelscope: str | None = None
    address: str | None = None

    @property
    def has_hash(self) -> bool:
        """Whether wrong bytes would be noticed."""
        return self.sha256 is not None or self.git_sha1 is not None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """hubs: base addresses in order, the configured one first. unusable: a setting that is no address.

    is_forbidden: nothing may be asked, addresses of single files neither. is_token_stored: the token is that
    of a login, and nobody said that it is meant for the configured hub.
    """

    hubs: tuple[str, ...]
    modelscope: str | None = None
    token: str | None = field(default=None, repr=False)
    unusable: str | None = None
    is_forbidden: bool = False
    is_token_stored: bool = False

    def token_for(self, url: str) -> str | None:
        """The token, where `url` is the hub's that it is for; encrypted, or on this machine.

        That is the configured hub, if the token was set like it. A stored one is the public hub's: what is
        configured may be any mirror. So is each where the public mirror is configured.
        """
        if self.token is None or not self.hubs:
            return None
        is_public = self.is_token_stored or _is_mirror(self.hubs[0])
        owner = HUGGING_FACE if is_public else self.hubs[0]
        if origin(url) != origin(owner) or origin(owner) not in map(origin, self.hubs):
            return None
        parts = urlsplit(url)
        return self.token if parts.scheme == "https" or parts.hostname in _LOOPBACK else None

    def interface(self, name: str, path: str) -> tuple[str, ...]:
        """The addresses of what the hubs say at `path`, about `name`; raises NetworkSettingInvalid."""
        if self.unusable is not None:
            raise NetworkSettingInvalid(name, self.unusable)
        return tuple(hub + path for hub in self.hubs)

    def locations(self, file: RemoteFile) -> tuple[str, ...]:
        """The addresses of a file, in the order to try them, none where the network is forbidden.

        Raises NetworkSettingInvalid.
        """
        if self.is_forbidden:
            return ()
        if file.address is not None:
            return (file.address,)
        if self.unusable is not None:
            raise NetworkSettingInvalid(file.name, self.unusable)
        path = f"resolve/{quote(file.revision, safe='')}/{quote(file.name)}"
        found = [f"{hub}/{quote(file.repo)}/{path}" for hub in self.hubs]
        if self.modelscope and file.modelscope:
            repo, _, revision = file.modelscope.partition("@")
            path = f"resolve/{quote(revision or 'master', safe='')}/{quote(file.name)}"
            found.append(f"{self.modelscope}/models/{quote(repo)}/{path}")
        return tuple(found)


def is_repo_name(name: str) -> bool:
    """Whether this can be a repository: `owner/name`."""
    return _REPO.fullmatch(name) is not None and ".." not in name


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what decides whether two addresses are the same place."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def host_of(url: str) -> str:
    """The host of an address, with its port where it is not the usual one: for people."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _is_mirror(hub: str) -> bool:
    mirror = urlsplit(HUGGING_FACE_MIRROR).hostname
    host = urlsplit(hub).hostname or ""
    return host == mirror or host.endswith(f".{mirror}")


def shown_setting(variable: str, value: str) -> str:
    """`NAME=value` of an address, without the name and the password in it."""
    hidden = re.sub(r"^(.*//)?.*@", r"\1***@", value)
    return f"{variable}={hidden}"


def find_endpoints(environ: Mapping[str, str] = os.environ) -> Endpoints:
    """`HF_ENDPOINT` first, then the public hub, its mirror, and ModelScope where a file is there as well.

    `CHATBELLE_MIRRORS` (addresses separated by spaces, may be empty) replaces everything after the first.
    With `HF_HUB_OFFLINE` nothing at all may be asked. The token is `HF_TOKEN`, else the one that
    huggingface_hub stored, none with `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    """
    if _is_true(environ.get("HF_HUB_OFFLINE")):
        return Endpoints((), is_forbidden=True)
    mirrors = environ.get("CHATBELLE_MIRRORS")
    settings = [("HF_ENDPOINT", environ.get("HF_ENDPOINT", "").strip() or HUGGING_FACE)]
    if mirrors is None:
        settings += [("", HUGGING_FACE), ("", HUGGING_FACE_MIRROR)]
    else:
        settings += [("CHATBELLE_MIRRORS", mirror) for mirror in mirrors.split()]
    hubs: dict[str, None] = {}
    for variable, value in settings:
        address = _hub_address(value)
        if address is None:
            return Endpoints((), unusable=shown_setting(variable, value))
        hubs[address] = None
    token, is_stored = _find_token(environ)
    modelscope = MODELSCOPE if mirrors is None else None
    return Endpoints(tuple(hubs), modelscope, token, is_token_stored=is_stored)


def _hub_address(value: str) -> str | None:
    """The base address that a setting means, as the bare name of a host too; None for what is none."""
    address = value if "://" in value else f"https://{value}"
    return address.rstrip("/") if is_address(address, tuple(_DEFAULT_PORTS)) else None


def is_address(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether a setting can be asked at all: one of these schemes, a host, and a port that can be one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and parts.port != 0 and bool(_HOST.fullmatch(parts.hostname or ""))
    except ValueError:
        return False


def _find_token(environ: Mapping[str, str]) -> tuple[str | None, bool]:
    """As huggingface_hub finds it, without importing it (it takes a second, and phones have none): in the
    environment, else in the file that its login writes. What it would ask a network for is not found.

    Also returns whether it comes from that file.
    """
    if _is_true(environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
        return None, False
    token = _clean(environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN") or "")
    if token:
        return token, False
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("HF_HOME") or f"{cache}/huggingface"
    path = os.path.expandvars(os.path.expanduser(environ.get("HF_TOKEN_PATH") or f"{home}/token"))
    try:
        return _clean(Path(path).read_text(encoding="utf-8")) or None, True
    except (OSError, ValueError):
        return None, False


def _is_true(value: str | None) -> bool:
    return (value or "").upper() in ("1", "ON", "YES", "TRUE")


def _clean(token: str) -> str:
    """Copied text breaks anywhere, and a header must not."""
    return token.replace("\r", "").replace("\n", "").strip()
