"""A grader made of graders, by proposition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from vivavoce.files import digest_json
from vivavoce.grading import Grade
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Usage


class MixtureGrader:
    """Sends each proposition to its own grader, all others to `default`; a grader gets its propositions in one request."""

    def __init__(self, default: Grader, by_proposition: Mapping[str, Grader]) -> None:
        self.default = default
        self.by_proposition = dict(by_proposition)
        parts = {name: grader.identity for name, grader in sorted(by_proposition.items())}
        self.identity = f"mixture:{digest_json([default.identity, parts])[:12]}"

    @property
    def usage(self) -> Usage:
        """Sum over the graders, each counted once."""
        total = Usage()
        for grader in {id(g): g for g in (self.default, *self.by_proposition.values())}.values():
            total.add(grader.usage)
        return total

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """Grades from all graders that are asked something, at once."""
        shares: dict[int, tuple[Grader, list[str]]] = {}
        for name in request.propositions:
            grader = self.by_proposition.get(name, self.default)
            shares.setdefault(id(grader), (grader, []))[1].append(name)
        answers = await asyncio.gather(
            *(
                grader.grade(GradeRequest(item=request.item, propositions=tuple(names)))
                for grader, names in shares.values()
            )
        )
        merged = {name: grade for answer in answers for name, grade in answer.items()}
        return {name: merged[name] for name in request.propositions}
