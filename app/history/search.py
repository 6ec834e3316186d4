"""Search over all titles and messages as one types, Chinese words of one and two characters included.

Reads only. What a word is, is in `words`; how texts get into the index, in `index`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from app.history.database import Database
from app.history.records import SearchHit
from app.history.words import Term, fold, match_expression, occurrences, query_terms

_BEFORE_CHARACTERS = 24
_SNIPPET_CHARACTERS = 120
_MAX_SCORED = 2000
_LARGEST_ID = 2**63 - 1
_MAX_HIGHLIGHTS = 32
_MAX_SCANNED_CHARACTERS = 200_000

# CROSS JOIN keeps this order of loops: the index gives rowids newest first, and reading stops at the limit.
_FROM_INDEX = """
    FROM {index}
    CROSS JOIN messages ON messages.id = {index}.rowid
    CROSS JOIN conversations ON conversations.id = messages.conversation_id
    WHERE {index} MATCH :match AND messages.deletion IS NULL AND conversations.trashed_at IS NULL
        AND (:conversation IS NULL OR messages.conversation_id = :conversation)
        AND {index}.rowid BETWEEN :first AND :last
    ORDER BY {index}.rowid DESC LIMIT :limit
"""
_FROM_MESSAGES = _FROM_INDEX.format(index="message_index")
_FROM_THOUGHTS = _FROM_INDEX.format(index="thought_index")
_PLACE = """
    messages.id AS message_id, messages.conversation_id, messages.role, messages.created_at AS moment,
    conversations.title
"""
_COLUMNS = f"{_PLACE}, messages.text"
_THOUGHT_COLUMNS = f"{_PLACE}, messages.thought"
_TITLES = """
    SELECT conversations.id AS conversation_id, conversations.title, conversations.updated_at AS moment
    FROM title_index CROSS JOIN conversations ON conversations.id = title_index.rowid
    WHERE title_index MATCH :match AND conversations.trashed_at IS NULL
    ORDER BY conversations.updated_at DESC, conversations.id DESC LIMIT :limit
"""


class Search:
    """Finds conversations and messages; any text is a valid query. Safe to use from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def titles(self, query: str, *, limit: int = 20) -> tuple[SearchHit, ...]:
        """Conversations whose titles have all words of the query, last used first."""
        terms = query_terms(query)
        if not terms:
            return ()
        with self._database.read() as connection:
            rows = connection.execute(_TITLES, {"match": match_expression(terms), "limit": limit}).fetchall()
        return tuple(_hit(row, row["title"], terms) for row in rows)

    def messages(
        self,
        query: str,
        *,
        limit: int = 50,
        order: Literal["newest", "best"] = "newest",
        conversation_id: int | None = None,
        before_id: int | None = None,
    ) -> tuple[SearchHit, ...]:
        """Messages that have all words of the query, on whatever branch.

        order: `best` ranks the newest 2,000 of them by bm25. conversation_id: look there only. before_id: the
        `message_id` of the last hit of the page before, with `newest`.
        """
        terms = query_terms(query)
        if not terms:
            return ()
        values: dict[str, str | int | None] = {
            "match": match_expression(terms),
            "conversation": conversation_id,
            "limit": limit if order == "newest" else _MAX_SCORED,
        }
        with self._database.read() as connection:
            values |= _bounds(connection, conversation_id, before_id)
            if order == "newest":
                rows = connection.execute(f"SELECT {_COLUMNS} {_FROM_MESSAGES}", values).fetchall()
            else:
                rows = _best(connection, values, limit)
        return tuple(_hit(row, row["text"], terms) for row in rows)

    def thoughts(
        self, query: str, *, limit: int = 50, conversation_id: int | None = None
    ) -> tuple[SearchHit, ...]:
        """Answers whose thoughts have all words of the query, on whatever branch, newest first."""
        terms = query_terms(query)
        if not terms:
            return ()
        values: dict[str, str | int | None] = {
            "match": match_expression(terms),
            "conversation": conversation_id,
            "limit": limit,
        }
        with self._database.read() as connection:
            values |= _bounds(connection, conversation_id, None)
            rows = connection.execute(f"SELECT {_THOUGHT_COLUMNS} {_FROM_THOUGHTS}", values).fetchall()
        return tuple(replace(_hit(row, row["thought"], terms), in_thought=True) for row in rows)

    def find(self, query: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        """Titles, then messages, then thoughts, newest first: what a search field shows.

        Thoughts come last, for they mention much; one whose answer was found is left out.
        """
        found = (self.titles(query, limit=limit) + self.messages(query, limit=limit))[:limit]
        known = {hit.message_id for hit in found}
        thoughts = self.thoughts(query, limit=limit) if len(found) < limit else ()
        return (found + tuple(hit for hit in thoughts if hit.message_id not in known))[:limit]


def _bounds(
    connection: sqlite3.Connection, conversation_id: int | None, before_id: int | None
) -> dict[str, int]:
    """The range of ids to look at, so that a search in one conversation skips the others' hits."""
    first, last = 0, _LARGEST_ID
    if conversation_id is not None:
        first, last = connection.execute(
            "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM messages WHERE conversation_id = ?",
            (conversation_id,),
        ).fetchone()
    return {"first": first, "last": last if before_id is None else min(last, before_id - 1)}


def _best(connection: sqlite3.Connection, values: Mapping[str, object], limit: int) -> list[sqlite3.Row]:
    scored = connection.execute(f"SELECT messages.id, bm25(message_index) AS score {_FROM_MESSAGES}", values)
    best = sorted(scored.fetchall(), key=lambda row: (row["score"], -row["id"]))[:limit]
    statement = f"""
        SELECT {_COLUMNS} FROM messages JOIN conversations ON conversations.id = messages.conversation_id
        WHERE messages.id = ?
    """
    return [connection.execute(statement, (row["id"],)).fetchone() for row in best]


def _hit(row: sqlite3.Row, text: str, terms: tuple[Term, ...]) -> SearchHit:
    keys = row.keys()
    start, snippet, highlights = _excerpt(text, terms)
    return SearchHit(
        conversation_id=row["conversation_id"],
        message_id=row["message_id"] if "message_id" in keys else None,
        title=row["title"],
        role=row["role"] if "role" in keys else None,
        moment=row["moment"],
        snippet=snippet,
        highlights=highlights,
        offset=start + highlights[0][0] if highlights else 0,
    )


def _excerpt(text: str, terms: tuple[Term, ...]) -> tuple[int, str, tuple[tuple[int, int], ...]]:
    """An excerpt around the first occurrence: its offset in `text`, itself on one line, its highlights."""
    folded = fold(text[:_MAX_SCANNED_CHARACTERS])
    firsts = [next(occurrences(folded, term), None) for term in terms]
    first = min((span[0] for span in firsts if span is not None), default=0)
    start = max(0, first - _BEFORE_CHARACTERS)
    end = start + _SNIPPET_CHARACTERS
    spans: list[tuple[int, int]] = []
    for term in terms:
        # From `start` only, but with the character before it in view: a word must begin there to match.
        window = folded[max(0, start - 1) : end]
        shift = max(0, start - 1) - start
        spans += [(a + shift, b + shift) for a, b in occurrences(window, term) if a + shift >= 0]
    snippet = text[start:end].translate(_LINE_BREAKS)
    return start, snippet, _disjoint(spans)[:_MAX_HIGHLIGHTS]


def _disjoint(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


_LINE_BREAKS = {ord(character): " " for character in "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
