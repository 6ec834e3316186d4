"""What a hub says about repositories: search, and the files of one commit with sizes and hashes.

Plain HTTP through `engine.models.transport` on every system: huggingface_hub knows one endpoint only, and
phones have none. So the same failover and the same rule for the token hold here. No telemetry, and nothing is
sent before a function is called. Interface: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any
from urllib.parse import quote, urlencode

from engine.models.endpoints import Endpoints, RemoteFile, host_of, is_repo_name
from engine.models.failover import Failover
from engine.models.fetch_errors import HubAnswerInvalid, HubRefused, NotOnHub, SearchRefused
from engine.models.reply import AttemptFailed, Patience
from engine.models.transport import Transport

_MAX_ANSWER_BYTES = 32 << 20
_MAX_FILES = 20_000
_MAX_FILE_BYTES = 1 << 42
_MAX_RESULTS = 100


@dataclass(frozen=True, slots=True)
class Repository:
    """One commit of a repository: every later read is of this commit. license: as its card says, or None."""

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    is_gated: bool
    license: str | None

    def file(self, name: str) -> RemoteFile | None:
        """The file at this path."""
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A repository that was found. n_downloads: last month's."""

    name: str
    n_downloads: int
    tags: tuple[str, ...]
    is_gated: bool


def resolve(
    repo: str,
    endpoints: Endpoints,
    revision: str = "main",
    *,
    modelscope: str | None = None,
    patience: Patience | None = None,
) -> Repository:
    """The files of a repository at a branch, tag or commit.

    modelscope: `RemoteFile.modelscope` for its files. Raises a `FetchError`.
    """
    path = f"/api/models/{quote(repo)}/revision/{quote(revision, safe='')}?blobs=true"
    answer, host = _ask(repo, path, endpoints, patience)
    if not isinstance(answer, dict):
        raise HubAnswerInvalid(repo, host, "not a JSON object")
    commit, siblings = answer.get("sha"), answer.get("siblings")
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise HubAnswerInvalid(repo, host, "sha")
    if not isinstance(siblings, list) or len(siblings) > _MAX_FILES:
        raise HubAnswerInvalid(repo, host, "siblings")
    files = [_read_file(repo, commit, entry, modelscope, host) for entry in siblings]
    usable = tuple(file for file in files if file is not None)
    return Repository(repo, commit, usable, bool(answer.get("gated")), _license(answer))


def search(
    query: str, endpoints: Endpoints, *, n_results: int = 20, patience: Patience | None = None
) -> tuple[SearchResult, ...]:
    """Repositories that fit `query`, most downloaded first; raises a `FetchError`."""
    limit = max(1, min(n_results, _MAX_RESULTS))
    parameters = {"search": query, "limit": limit, "sort": "downloads", "direction": -1}
    try:
        answer, host = _ask(query, f"/api/models?{urlencode(parameters)}", endpoints, patience)
    except (HubRefused, NotOnHub) as error:
        raise SearchRefused(query, error.host) from error
    if not isinstance(answer, list):
        raise HubAnswerInvalid(query, host, "not a JSON list")
    found = [_read_result(entry) for entry in answer[:limit] if isinstance(entry, dict)]
    return tuple(result for result in found if result is not None)


def _ask(name: str, path: str, endpoints: Endpoints, patience: Patience | None) -> tuple[Any, str]:
    """The parsed answer of the first hub that gives one, and that hub's host."""
    patience = patience or Patience()
    failover = Failover(name, endpoints.interface(name, path), patience)
    with Transport(endpoints, patience) as transport:
        while True:
            source = failover.pick(Event())
            if source is None:  # only when stopped
                raise HubAnswerInvalid(name, "", "no answer")
            started_s = time.monotonic()
            try:
                data = transport.get(source.url, _MAX_ANSWER_BYTES)
                return json.loads(data), host_of(source.url)
            except AttemptFailed as failure:
                failover.failed(source, failure, started_s)
            except (ValueError, RecursionError):  # a login page of a hotel's network, for example
                failover.failed(source, AttemptFailed("page", "no JSON"), started_s)


def _read_file(repo: str, commit: str, entry: Any, modelscope: str | None, host: str) -> RemoteFile | None:
    """None for a name that no system may have to write: one log of a training spoils no model."""
    name = entry.get("rfilename") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise HubAnswerInvalid(repo, host, f"the file name {str(name)[:200]!r}")
    if not _is_safe_path(name):
        return None
    lfs = entry.get("lfs")
    size_bytes, sha256 = entry.get("size"), None
    if isinstance(lfs, dict):
        size_bytes, sha256 = lfs.get("size", size_bytes), _hex(lfs.get("sha256"), 64)
    if type(size_bytes) is not int or not 0 <= size_bytes < _MAX_FILE_BYTES:
        size_bytes = None
    git_sha1 = None if isinstance(lfs, dict) else _hex(entry.get("blobId"), 40)
    return RemoteFile(repo, commit, name, size_bytes, sha256, git_sha1, modelscope=modelscope)


def _read_result(entry: Mapping[str, Any]) -> SearchResult | None:
    name, tags = entry.get("id"), entry.get("tags")
    if not isinstance(name, str) or not is_repo_name(name):
        return None
    texts = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return SearchResult(name, _count(entry.get("downloads")), texts, bool(entry.get("gated")))


def _license(answer: Mapping[str, Any]) -> str | None:
    card = answer.get("cardData")
    found = card.get("license") if isinstance(card, dict) else None
    return found if isinstance(found, str) else None


def _is_safe_path(name: str) -> bool:
    """Whether a name out of an answer stays in its folder, on every system."""
    parts = name.split("/")
    return not re.search(r"[\\:\0]", name) and all(part not in ("", ".", "..") for part in parts)


def _hex(value: Any, length: int) -> str | None:
    is_hash = isinstance(value, str) and re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", value)
    return value.lower() if is_hash else None


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0
