"""Jobs in words: one plain sentence about what is done, how far it is, and how it ended."""

from __future__ import annotations

from app.i18n import EXPECTED_ERRORS, Texts
from app.models.errands import Get, Import, Verify
from app.models.jobs import Job
from app.models.progress import WorkProgress
from app.models.progress_texts import (
    bytes_text,
    left_text,
    percent_of,
    rate_text,
    tensors_text,
    waiting_text,
)


def job_text(job: Job, texts: Texts) -> str:
    """What it is and how far: `Getting BELLE-7B-2M: downloading, 34% · 12 MB/s · about 5 min left`."""
    what = texts.text(f"job.{_kind(job)}", title=job.title)
    return texts.text("job.sentence", what=what, detail=job_detail(job, texts))


def short_text(job: Job, texts: Texts) -> str:
    """The same where there is little room: how far it is comes first, and why it failed is told elsewhere."""
    progress = job.progress
    if job.state == "running" and not job.is_stopping:
        if progress is None or progress.waiting_s > 0 or not progress.total_bytes:
            return job_text(job, texts)
        what = texts.text(f"job.{_kind(job)}", title=job.title)
        return texts.text("job.short", state=f"{percent_of(progress)}%", what=what)
    state = texts.text("job.failed") if job.state == "failed" else job_detail(job, texts)
    return texts.text("job.short", state=state[:1].upper() + state[1:], what=job.title)


def job_detail(job: Job, texts: Texts) -> str:
    """How far it is, without its name."""
    if job.is_stopping:
        return texts.text("job.stopping")
    if job.state == "paused":
        if job.share is None:
            return texts.text("job.paused")
        return texts.text("job.paused_at", percent=int(100 * job.share))
    if job.state == "failed" and job.error is not None:
        return error_text(job.error, texts)
    if job.state != "running":
        return texts.text(f"job.{job.state}")
    if job.progress is None:
        return texts.text("job.starting")
    return _progress_text(job, job.progress, texts)


def amount_text(job: Job, texts: Texts, item: str = "") -> str:
    """How much of it is done, while it works: `9.53 / 28.02 GB · tensor 123 of 434`, and perhaps its item."""
    progress = job.progress
    if job.state != "running" or job.is_stopping or progress is None:
        return ""
    return _joined(bytes_text(progress, texts), tensors_text(progress, texts), item)


def ending_text(job: Job, texts: Texts) -> str | None:
    """What to say when a job has just come to its end; None while it has not."""
    title = job.title
    if job.state == "failed" and job.error is not None:
        return texts.text(f"job.failed.{_kind(job)}", title=title, reason=error_text(job.error, texts))
    if job.state != "done" or job.done is None:
        return None
    if isinstance(job.errand, Verify):
        return texts.text("job.done.verified" if job.done.is_confirmed else "job.done.hashed", title=title)
    return texts.text(f"job.done.{_kind(job)}", title=title)


def error_text(error: Exception, texts: Texts) -> str:
    """Why it failed; the details of an unexpected error are in the log."""
    if isinstance(error, EXPECTED_ERRORS):
        return texts.error(error)
    return texts.text("gui.unexpected", kind=type(error).__name__)


def _progress_text(job: Job, progress: WorkProgress, texts: Texts) -> str:
    waiting = waiting_text(progress, texts)
    if waiting:
        return waiting
    is_remote = progress.phase == "convert" and isinstance(job.errand, Get)
    phase = texts.text("job.phase.convert_remote" if is_remote else f"job.phase.{progress.phase}")
    if not progress.total_bytes:
        return phase
    percent = texts.text("job.percent", phase=phase, percent=percent_of(progress))
    return _joined(percent, rate_text(progress, texts), left_text(progress, texts))


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _kind(job: Job) -> str:
    match job.errand:
        case Get():
            return "get"
        case Import():
            return "convert" if job.errand.is_conversion else "import"
        case Verify():
            return "verify"
