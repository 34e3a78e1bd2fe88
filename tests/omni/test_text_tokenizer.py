"""The text tokenizer's own commands: learned alike each time, measured by hand, refused where it would do harm."""

import json
from pathlib import Path

import pytest

from vivavoce.errors import ConfigError, DataError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.text.measures import measure_texts
from vivavoce.omni.text.text_command import eval_command, train_command
from vivavoce.omni.training.places import find_vocabulary
from vivavoce.omni.vocabulary import load_vocabulary

TEXTS = ["the cat sat.", "the cat ran.", "the dog sat."] * 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("text")
    (place / "texts.txt").write_text("\n".join(TEXTS))
    train_command(preset="tiny", out=place / "a", texts=place / "texts.txt")
    return place


def load(folder: Path):
    shape = make_tiny()
    return load_vocabulary(folder, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)


def test_the_same_texts_give_the_same_table_and_it_is_not_written_over(folder: Path) -> None:
    train_command(preset="tiny", out=folder / "b", texts=folder / "texts.txt")
    assert (folder / "b" / "tokenizer.json").read_bytes() == (folder / "a" / "tokenizer.json").read_bytes()
    with pytest.raises(ConfigError, match="holds a tokenizer already"):
        train_command(preset="tiny", out=folder / "b", texts=folder / "texts.txt")
    with pytest.raises(DataError, match="one text a line"):
        train_command(preset="tiny", out=folder / "c", texts=folder / "nothing.txt")
    assert not (folder / "c").exists()


def test_measures_are_those_counted_by_hand(folder: Path) -> None:
    vocabulary = load(folder / "a")
    # every word is a token by now, and a mark is one of its own; an unknown word falls into its letters
    measured = measure_texts(vocabulary, ["the cat sat.", "the cat sat.", "xyz"])
    assert [len(vocabulary.encode(text)) for text in ("the cat sat.", "xyz")] == [4, 3]
    assert measured.characters_a_token.value == pytest.approx((12 + 3) / (4 + 3))
    assert measured.tokens_a_word.value == pytest.approx(7 / 4)
    assert measured.whole_words.value == pytest.approx(2 / 4)
    assert (measured.came_back.value, measured.came_back.n) == (1.0, 2)
    assert measured.rows_used == 7
    with pytest.raises(DataError, match="no texts"):
        measure_texts(vocabulary, [" ", ""])


def test_the_report_is_what_was_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eval_command(tokenizer=folder / "a", preset="tiny", texts=folder / "texts.txt", json=folder / "measures.json")
    report = json.loads((folder / "measures.json").read_text())["texts.txt"]
    measured = measure_texts(load(folder / "a"), TEXTS)
    assert report["tokens_a_word"] == measured.tokens_a_word.to_json()
    assert f"tokens a word       {measured.tokens_a_word}" in capsys.readouterr().out


def test_a_network_is_given_the_named_table_unless_it_goes_on_from_another(folder: Path, tmp_path: Path) -> None:
    digest = load(folder / "a").digest
    assert find_vocabulary(tmp_path / "run", [None], make_tiny(), folder / "a").digest == digest
    # kept in the run, which is asked first from then on
    assert find_vocabulary(tmp_path / "run", [], make_tiny()).digest == digest
    with pytest.raises(ConfigError, match="has no tokenizer"):
        find_vocabulary(tmp_path / "other", [], make_tiny(), tmp_path)
