"""New text is followed at the end only, and brought to the screen a few times a second."""

from __future__ import annotations

import asyncio

from app.components.chat.following import FLUSH_INTERVAL_S, Coalescer, Following, flush_interval_s


def test_scrolling_up_stops_following_and_returning_begins_again() -> None:
    following = Following()
    assert following.on_scroll(10.0) is False
    assert following.on_scroll(200.0) is True
    assert not following.is_at_end
    assert following.on_scroll(300.0) is False
    assert following.on_scroll(0.0) is True
    assert following.is_at_end


def test_news_are_told_once_until_the_person_returns() -> None:
    following = Following()
    assert not following.on_news()
    following.on_scroll(200.0)
    assert following.on_news()
    assert not following.on_news()
    following.return_to_end()
    assert (following.is_at_end, following.has_news) == (True, False)


def test_tokens_are_gathered_between_flushes_and_none_is_forgotten() -> None:
    async def run() -> list[int]:
        pending, sizes = 0, []

        def flush() -> None:
            nonlocal pending
            sizes.append(pending)
            pending = 0

        coalescer = Coalescer(flush, lambda: 0.05)
        for _ in range(20):
            pending += 1
            coalescer.touch()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        return sizes

    sizes = asyncio.run(run())
    assert sizes[0] == 1, "the first token is shown at once"
    assert sum(sizes) == 20
    assert 3 <= len(sizes) < 20


def test_a_cancelled_flush_does_not_come() -> None:
    async def run() -> int:
        count = 0

        def flush() -> None:
            nonlocal count
            count += 1

        coalescer = Coalescer(flush, lambda: 0.02)
        coalescer.touch()
        coalescer.touch()
        coalescer.cancel()
        await asyncio.sleep(0.05)
        return count

    assert asyncio.run(run()) == 1


def test_a_huge_block_is_sent_less_often() -> None:
    assert flush_interval_s(100) == FLUSH_INTERVAL_S
    assert flush_interval_s(4_000) == 2 * FLUSH_INTERVAL_S
    assert flush_interval_s(1_000_000) == 0.3
