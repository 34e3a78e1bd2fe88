"""Fitting a prompt into a context: only the passage may shrink; the question, answer, critique and target never do."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

from vivavoce.critique.tasks.forms import Rendered, load_templates
from vivavoce.critique.texts import split_words
from vivavoce.errors import DataError

Keep = Literal["head", "relevant"]
GAP = " [...] "
_SENTENCE = re.compile(r"[^.!?\n]*[.!?\n]+[\"'”’)]*\s*|[^.!?\n]+$")


class Fitted(NamedTuple):
    """Token ids of prompt and completion, and how much of the passage stayed."""

    prompt_ids: list[int]
    completion_ids: list[int]
    num_passage_chars: int
    was_cut: bool


def fit(
    rendered: Rendered,
    encode: Callable[[str], list[int]],
    *,
    max_tokens: int,
    reserve_tokens: int = 0,
    end_id: int | None = None,
    keep: Keep = "relevant",
) -> Fitted:
    """Tokens of prompt and completion within `max_tokens`, less `reserve_tokens` left for generation.

    keep: `head` keeps the passage's beginning; `relevant` the sentences that share rare words with the rest.
    Raises: DataError if it does not fit even without a passage.
    """
    completion_ids = (
        [] if rendered.completion is None else encode(rendered.completion) + ([] if end_id is None else [end_id])
    )
    room = max_tokens - reserve_tokens - len(completion_ids)
    rest_ids = encode(rendered.rest)
    whole_ids = encode(rendered.passage) + rest_ids
    if len(whole_ids) <= room:
        return Fitted(whole_ids, completion_ids, len(rendered.passage), False)
    empty_ids = encode(_wrap("")) + rest_ids if rendered.passage else rest_ids
    if len(empty_ids) > room:
        raise DataError(
            f"question, answer and target take {len(empty_ids) + len(completion_ids) + reserve_tokens} tokens without any "
            f"passage; the context has {max_tokens}; use a model with a longer context or leave this item out"
        )
    shorten = _keep_head if keep == "head" else _keep_relevant
    passage = _unwrap(rendered.passage)
    low, high = 0, len(passage)
    best = ""
    while low < high:  # the longest that fits, by bisection over characters, because tokens are not additive
        middle = (low + high + 1) // 2
        candidate = shorten(passage, rendered.rest, middle)
        if len(encode(_wrap(candidate))) + len(rest_ids) <= room:
            low, best = middle, candidate
        else:
            high = middle - 1
    return Fitted(encode(_wrap(best)) + rest_ids, completion_ids, len(best), True)


def _wrap(passage: str) -> str:
    return load_templates()[0].replace("{{passage}}", passage)


def _unwrap(written: str) -> str:
    before, after = load_templates()[0].split("{{passage}}")
    return written[len(before) : len(written) - len(after)]


def _keep_head(passage: str, _: str, num_chars: int) -> str:
    return passage[:num_chars] + (GAP if 0 < num_chars < len(passage) else "")


def _keep_relevant(passage: str, query: str, num_chars: int) -> str:
    """Whole sentences by shared rare words, in their own order, gaps marked; the head if no sentence fits."""
    sentences = split_sentences(passage)
    counts = Counter(word for sentence in sentences for word in set(split_words(sentence)))
    wanted = set(split_words(query))
    scored = sorted(
        range(len(sentences)),
        key=lambda idx: (
            -sum(math.log(1 + len(sentences) / counts[word]) for word in set(split_words(sentences[idx])) & wanted),
            idx,
        ),
    )
    kept, used = set[int](), 0
    for idx in scored:
        if used + len(sentences[idx]) <= num_chars:
            kept.add(idx)
            used += len(sentences[idx])
    if not kept:
        return _keep_head(passage, query, num_chars)
    parts, previous = list[str](), -1
    for idx in sorted(kept):
        parts += [GAP] if idx != previous + 1 else []
        parts.append(sentences[idx])
        previous = idx
    return "".join(parts) + (GAP if previous != len(sentences) - 1 else "")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text; joined they are the text again."""
    return _SENTENCE.findall(text)
