"""`viva train text`, `viva eval text`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vivavoce.data.pools import iterate_text_corpus
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.text.measures import TextMeasures, list_held_out_texts, measure_texts
from vivavoce.omni.vocabulary import VOCABULARY_FILES, load_vocabulary, save_vocabulary, train_vocabulary


def train_command(
    *,
    preset: Literal["nano", "small", "tiny"] = "nano",
    out: Path = Path("runs/text"),
    texts: Path | None = None,
) -> None:
    """Learn the text tokenizer: byte pairs of all that is asked and answered in training, in half a minute.

    `viva train ear`, `eye` and `omni` take it (`--vocabulary`), and learn the same one where they are given none.

    Args:
        preset: size of the network that it is for.
        out: folder for tokenizer.json and what AutoTokenizer needs beside it; one that holds a tokenizer is refused.
        texts: a file with one text a line to learn from instead.
    """
    if (out / VOCABULARY_FILES[0]).exists():
        raise ConfigError(f"{out} holds a tokenizer already; name another folder, since networks read by its rows")
    corpus = iterate_text_corpus() if texts is None else _read_lines(texts)
    shape = PRESETS[preset]()
    learned = train_vocabulary(corpus, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    out.mkdir(parents=True, exist_ok=True)
    save_vocabulary(learned, out)
    print(f"text tokenizer of {learned.tokenizer.get_vocab_size()} rows written to {out}")


def eval_command(
    *,
    tokenizer: Path = Path("checkpoints/nano"),
    preset: Literal["nano", "small", "tiny"] = "nano",
    texts: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure a text tokenizer on texts that it was not learned from.

    Args:
        tokenizer: folder that holds it, or a checkpoint.
        preset: size of the network that it is for.
        texts: a file with one text a line; else what is asked and answered in the test split, and broad English.
        json: write the measures to this file too.
    """
    shape = PRESETS[preset]()
    found = load_vocabulary(tokenizer, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    kinds = list_held_out_texts() if texts is None else {texts.name: _read_lines(texts)}
    measured = {kind: measure_texts(found, chosen) for kind, chosen in kinds.items()}
    for kind, one in measured.items():
        print(kind)
        print(f"  characters a token  {one.characters_a_token}")
        print(f"  tokens a word       {one.tokens_a_word}")
        print(f"  words of one token  {one.whole_words}")
        print(f"  texts come back     {one.came_back}")
        print(f"  rows used           {one.rows_used} of {one.num_rows}")
    if json is not None:
        write_json(json, {kind: _to_json(one) for kind, one in measured.items()})


def _to_json(one: TextMeasures) -> dict[str, object]:
    return {
        "characters_a_token": one.characters_a_token.to_json(),
        "tokens_a_word": one.tokens_a_word.to_json(),
        "whole_words": one.whole_words.to_json(),
        "came_back": one.came_back.to_json(),
        "rows_used": one.rows_used,
        "num_rows": one.num_rows,
    }


def _read_lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error}); name a UTF-8 file with one text a line") from error
