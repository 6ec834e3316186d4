"""How far long work is, in the words that the terminal and the window share. Each may be "", if unknown."""

from __future__ import annotations

from app.i18n import Texts
from app.models.progress import WorkProgress
from convert.i18n import share_text


def percent_of(progress: WorkProgress) -> int:
    """Whole percents of the bytes; 0 while their total is not known."""
    return min(100, 100 * progress.done_bytes // progress.total_bytes) if progress.total_bytes else 0


def waiting_text(progress: WorkProgress, texts: Texts) -> str:
    """Which host is waited for; "" while bytes are expected."""
    if progress.waiting_s <= 0 or not progress.host:
        return ""
    return texts.text("job.waiting", host=progress.host, seconds=max(1, round(progress.waiting_s)))


def bytes_text(progress: WorkProgress, texts: Texts) -> str:
    """`9.53 / 28.02 GB`."""
    return share_text(progress.done_bytes, progress.total_bytes, texts.joint) if progress.total_bytes else ""


def rate_text(progress: WorkProgress, texts: Texts) -> str:
    """`12 MB/s`."""
    # A third digit would change with every look, and move what stands behind it.
    rate = int(float(f"{progress.bytes_per_s:.2g}"))
    return texts.text("job.rate", rate=rate) if rate > 0 else ""


def left_text(progress: WorkProgress, texts: Texts) -> str:
    """How long it takes yet, as people say it."""
    if not progress.left_s:
        return ""
    minutes = round(progress.left_s / 60)
    if progress.left_s < 60:
        return texts.text("job.left_seconds")
    if minutes < 60:
        return texts.text("job.left_minutes", n=minutes)
    return texts.text("job.left_hours", hours=minutes // 60, minutes=minutes % 60)


def tensors_text(progress: WorkProgress, texts: Texts) -> str:
    """`tensor 123 of 434`, of a conversion; what is read back is told in bytes alone."""
    if not progress.n_tensors or progress.phase == "verify":
        return ""
    return texts.text("job.tensors", n=progress.n_tensors_done, total=progress.n_tensors)
