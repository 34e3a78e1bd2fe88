"""Words and digests of texts: what makes two passages equal, two critiques near-duplicates, an edit a span."""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Set

from vivavoce.critique.spans import TextSpan

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_TOKEN = re.compile(r"\S+")


def digest_text(text: str) -> str:
    """sha256 of a text with Unicode form, case and white space normalised: what makes two passages equal."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()
    return hashlib.sha256(plain.encode()).hexdigest()


def split_words(text: str) -> list[str]:
    """The words of a text, case folded."""
    return _WORD.findall(text.casefold())


def shingle(text: str, size: int = 3) -> Set[tuple[str, ...]]:
    """The set of runs of `size` words; shorter texts are one run."""
    words = split_words(text)
    if len(words) <= size:
        return {tuple(words)} if words else set()
    return {tuple(words[idx : idx + size]) for idx in range(len(words) - size + 1)}


def measure_overlap(left: str, right: str) -> float:
    """Share of the left text's distinct words that the right one has too; 0 for a text without words."""
    words = set(split_words(left))
    return len(words & set(split_words(right))) / len(words) if words else 0.0


def measure_jaccard(left: Set[tuple[str, ...]], right: Set[tuple[str, ...]]) -> float:
    """Intersection over union; two empty sets are equal."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0


def find_edits(original: str, edited: str) -> list[tuple[TextSpan, str, str]]:
    """Where `edited` differs from `original`, word by word: (span in edited, words now, words before).

    Where words were only removed, the span is that of the word that follows (or comes before, at the end), because an
    empty span cannot be shown or hit.
    """
    before = [match.group() for match in _TOKEN.finditer(original)]
    places = [match.span() for match in _TOKEN.finditer(edited)]
    after = [edited[begin:end] for begin, end in places]
    edits = list[tuple[TextSpan, str, str]]()
    for tag, low, high, first, last in difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if tag == "equal" or not places:
            continue
        shown_first, shown_last = (first, last) if last > first else (min(first, len(places) - 1),) * 2
        end = places[max(shown_first, shown_last - 1)][1]
        edits.append((TextSpan(places[shown_first][0], end), " ".join(after[first:last]), " ".join(before[low:high])))
    return edits


def describe_edit(now: str, before: str) -> str:
    """A critique of one edit, in words."""
    if not before:
        return f'It adds "{now}", which the passage does not say.'
    if not now:
        return f'It leaves out "{before}".'
    return f'It says "{now}", but it should say "{before}".'
