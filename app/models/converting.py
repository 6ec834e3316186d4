"""A checkpoint of a hub that becomes a GGUF while its weights come; nothing but the result touches the disk.

The converter works in a thread of its own, so that this one can tell at any time how much has come, and end
it. Knows no queue and no screen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.models.hub_folder import HubFolder
from app.models.progress import Pace, WorkDone, WorkProgress
from app.models.taking_over import TakenOver, is_result, take_over
from convert.detect import open_checkpoint
from convert.pipeline import Converted, Progress, convert
from engine.models.endpoints import Endpoints
from engine.models.hub import Repository
from engine.models.ranges import WINDOW_BYTES, ReadStopped
from engine.models.reply import Patience

_LOOK_S = 0.2


@dataclass
class Converting:
    """A checkpoint of a commit, on its way to `output`.

    file, subfolder: what of the repository it is. The other fields are those of a `Wish`.
    """

    repository: Repository
    endpoints: Endpoints
    patience: Patience | None
    is_cancelled: Callable[[], bool]
    held: Callable[[Path], AbstractContextManager[object]]
    output: Path
    file: str | None
    subfolder: str
    target: str
    prompt: str
    tokenizer: Path | None
    key: Path | None
    _pace: Pace = field(default_factory=Pace)
    _last: Progress | None = None
    _begun_bytes: int = 0  # converted before, less what had been fetched by then

    def run(self, n_threads: int) -> Iterator[WorkProgress | WorkDone]:
        """Progress, at least every `_LOOK_S`, then the result; ends without it when cancelled."""
        with ExitStack() as opened:
            opened.enter_context(self.held(self.output))
            folder = HubFolder(
                self.repository, self.endpoints, subfolder=self.subfolder, patience=self.patience
            )
            opened.callback(folder.close)
            events = opened.enter_context(closing(self._convert(folder, n_threads)))
            thread = opened.enter_context(ThreadPoolExecutor(1, thread_name_prefix="convert"))
            opened.callback(folder.stop)  # before that, so that the thread waits for no bytes any more
            while True:
                step = thread.submit(next, events, None)
                while not wait([step], _LOOK_S).done:
                    if self.is_cancelled():
                        folder.stop()
                    yield self._progress(folder)
                try:
                    event = step.result()
                except ReadStopped:
                    if not self.is_cancelled():
                        raise
                    return
                if event is None:
                    return
                if isinstance(event, WorkDone):
                    yield event
                    return
                self._note(event, folder)
                yield self._progress(folder)

    def _convert(self, folder: HubFolder, n_threads: int) -> Generator[Progress | WorkDone, None, None]:
        with ExitStack() as opened:
            source = open_checkpoint(folder, self.tokenizer, self.key, file=self.file)
            checkpoint = opened.enter_context(source)
            plan = checkpoint.plan(self.target, checkpoint.prompt(self.prompt))
            work: Generator[Progress | Converted | TakenOver, None, None]
            if is_result(self.output, plan):
                work = take_over(plan, self.output, self.is_cancelled)
            else:
                work = convert(
                    plan,
                    self.output,
                    threads=n_threads,
                    resume_id=self._resume_id(),
                    announce=folder.announce,
                    is_cancelled=self.is_cancelled,
                )
            for event in opened.enter_context(closing(work)):
                yield event if isinstance(event, Progress) else self._done(event.size_bytes, event.sha256)

    def _done(self, size_bytes: int, sha256: str) -> WorkDone:
        return WorkDone(self.output, size_bytes, sha256, self.repository.commit, is_converted=True)

    def _note(self, event: Progress, folder: HubFolder) -> None:
        if event.phase == "convert" and (self._last is None or self._last.phase != "convert"):
            self._begun_bytes = event.done_bytes - folder.fetched_bytes
        self._last = event

    def _progress(self, folder: HubFolder) -> WorkProgress:
        """How far it is now: what has come and waits for the converter counts, as far as it can wait."""
        event = self._last
        commit, output = self.repository.commit, self.output
        host, waiting_s = folder.waiting()
        if event is None:
            asking = WorkProgress("ask", self.repository.name, commit=commit, output=output)
            return replace(asking, host=host, waiting_s=waiting_s)
        done_bytes = event.done_bytes
        if event.phase == "convert":
            come_bytes = min(self._begun_bytes + folder.fetched_bytes, done_bytes + WINDOW_BYTES)
            done_bytes = max(done_bytes, min(come_bytes, event.total_bytes))
        return replace(
            self._pace.at(event.phase, event.tensor, done_bytes, event.total_bytes),
            ahead_bytes=done_bytes - event.done_bytes,
            n_tensors_done=event.n_tensors_done,
            n_tensors=event.n_tensors,
            commit=commit,
            output=output,
            host=host,
            waiting_s=waiting_s,
        )

    def _resume_id(self) -> str:
        """What the weights are: the repository's files by hash, and the key's place and size."""
        digest = hashlib.sha256()
        for file in sorted(self.repository.files, key=lambda file: file.name):
            digest.update(f"{file.name}\0{file.size_bytes}\0{file.sha256 or file.git_sha1}\n".encode())
        key_bytes = self.key.stat().st_size if self.key else 0
        place = f"{self.subfolder}/{self.file or ''}"
        return f"{self.repository.name}@{self.repository.commit} {place} {digest.hexdigest()} {key_bytes}"
