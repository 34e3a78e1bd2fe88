"""What a text tokenizer does to texts that it was not learned from: how short it makes them, and whether they come back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vivavoce.data.pools import TASKS, list_items
from vivavoce.data.voices.sentences import reading_texts
from vivavoce.errors import DataError
from vivavoce.omni.vocabulary import NUM_CONTROL_ROWS, Vocabulary
from vivavoce.stats import Estimate, estimate_proportion, estimate_ratio

_BROAD_SENTENCES = 1000


@dataclass(frozen=True, slots=True)
class TextMeasures:
    """Of some texts. characters_a_token, tokens_a_word: sums over all texts, one unit a text; whole_words: share of words that are one
    token; came_back: share of texts that encoding and decoding leave as they were; rows_used: of the table's text rows."""

    characters_a_token: Estimate
    tokens_a_word: Estimate
    whole_words: Estimate
    came_back: Estimate
    rows_used: int
    num_rows: int


def measure_texts(vocabulary: Vocabulary, texts: Iterable[str]) -> TextMeasures:
    """Measures of `texts`, each text once.

    Raises: DataError if there are none, or none has a word.
    """
    kept = [text for text in dict.fromkeys(texts) if text.split()]
    if not kept:
        raise DataError("no texts to measure on; give at least one line with a word")
    ids = [vocabulary.encode(text) for text in kept]
    by_word = [vocabulary.count_by_word(text) for text in kept]
    num_tokens, num_words = [len(one) for one in ids], [len(counts) for counts in by_word]
    return TextMeasures(
        estimate_ratio([len(text) for text in kept], num_tokens),
        estimate_ratio(num_tokens, num_words),
        estimate_ratio([sum(count == 1 for count in counts) for counts in by_word], num_words),
        estimate_proportion(sum(vocabulary.decode(one) == text for one, text in zip(ids, kept)), len(kept)),
        len({idx for one in ids for idx in one}),
        vocabulary.num_text_ids - NUM_CONTROL_ROWS,
    )


def list_held_out_texts() -> Mapping[str, list[str]]:
    """Texts of the test split: what is asked, what is answered, and broad English.

    Raises: AssetError without WordNet.
    """
    items = [item for task in TASKS for item in list_items(task, "test")]
    return {
        "asked": [item.ask for item in items if item.ask],
        "answered": [item.say for item in items],
        "broad English": reading_texts(_BROAD_SENTENCES, 0, "test"),
    }
