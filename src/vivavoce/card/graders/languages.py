"""Which language a text is in, by its commonest words: enough for the handful that the card asks about."""

from __future__ import annotations

from functools import cache

import yaml

from vivavoce.card.sources import read_package_file


@cache
def _load_words() -> dict[str, frozenset[str]]:
    table = yaml.safe_load(read_package_file("graders", "languages.yaml"))
    return {code: frozenset(words.split()) for code, words in table.items()}


def identify_language(text: str) -> str | None:
    """The code whose words the text holds most of; None where there is none, or a tie."""
    words = "".join(letter if letter.isalpha() or letter == "'" else " " for letter in text.lower()).split()
    counts = {code: sum(word in known for word in words) for code, known in _load_words().items()}
    best = max(counts.values(), default=0)
    leaders = [code for code, count in counts.items() if count == best]
    return leaders[0] if best > 0 and len(leaders) == 1 else None
