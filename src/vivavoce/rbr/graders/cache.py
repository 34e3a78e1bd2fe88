"""Grades that are kept: a content-addressed table in one SQLite file, so that nothing graded is paid for twice or lost.

Keyed by grader, question, conversation and completion. Failures are not kept: they are tried again. Every answer is
committed before it is returned, and several processes may share a file.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from vivavoce.errors import DataError
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Graded
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Usage
from vivavoce.rbr.rules import Rules

_TABLE = "CREATE TABLE IF NOT EXISTS grades (key TEXT PRIMARY KEY, value REAL NOT NULL, detail TEXT NOT NULL)"


class CachedGrader:
    """A grader whose grades are kept in `path`. Text is never stored, only digests and probabilities."""

    def __init__(self, inner: Grader, rules: Rules, path: Path) -> None:
        self.inner = inner
        self.identity = inner.identity
        self._own = Usage()
        self._digests = {name: proposition.digest for name, proposition in rules.propositions.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._table = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._table.execute("PRAGMA journal_mode=WAL")
            self._table.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is no grade cache ({error}); remove it or name another") from error

    @property
    def usage(self) -> Usage:
        """The inner grader's usage, and how many grades came from the file."""
        total = Usage()
        total.add(self.inner.usage)
        total.add(self._own)
        return total

    def close(self) -> None:
        """Close the file."""
        self._table.close()

    def _key(self, request: GradeRequest, name: str) -> str:
        prompt = [[message.role, message.text] for message in request.item.prompt]
        return digest_json([self.identity, name, self._digests.get(name), prompt, request.item.completion])

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """Kept grades, and new ones for the rest."""
        keys = {name: self._key(request, name) for name in request.propositions}
        kept = {name: grade for name, key in keys.items() if (grade := self._find(key)) is not None}
        self._own.num_cached += len(kept)
        missing = tuple(name for name in request.propositions if name not in kept)
        fresh: dict[str, Grade] = {}
        if missing:
            fresh = await self.inner.grade(GradeRequest(item=request.item, propositions=missing))
            rows = [
                (keys[name], grade.value, json.dumps(dict(grade.detail)))
                for name, grade in fresh.items()
                if isinstance(grade, Graded)
            ]
            self._table.executemany("INSERT OR REPLACE INTO grades VALUES (?, ?, ?)", rows)
        return {name: kept[name] if name in kept else fresh[name] for name in request.propositions}

    def _find(self, key: str) -> Graded | None:
        row = self._table.execute("SELECT value, detail FROM grades WHERE key = ?", (key,)).fetchone()
        return Graded(row[0], json.loads(row[1])) if row else None
