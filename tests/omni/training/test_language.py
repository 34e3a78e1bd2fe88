"""Teaching the scribe's language model on texts: resumed equals uninterrupted, what hears stays, held-out texts stay out."""

from pathlib import Path

import pytest
import torch

from tests.omni.training.broken import BrokenAt
from tests.omni.training.test_ear import vocabulary  # noqa: F401 - fixture
from vivavoce.data.pools import TASKS, list_items
from vivavoce.errors import ConfigError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.scribe import Scribe
from vivavoce.omni.training.language import (
    LanguageTrainConfig,
    Texts,
    list_held_out,
    measure_language,
    train_language,
)
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.places import load_language
from vivavoce.omni.vocabulary import Vocabulary, save_vocabulary, train_vocabulary
from vivavoce.run import Run

RECORDED = ["a stop sign is red.", "who grows food?"]


def make_scribe(vocabulary: Vocabulary) -> Scribe:  # noqa: F811
    torch.manual_seed(0)
    return Scribe(vocabulary.num_text_ids, 8, make_tiny().scribe_width)


def train(
    folder: Path,
    tokens: Vocabulary,
    steps: int,
    *,
    resume: bool = False,
    stop: int = 0,
) -> Scribe:
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, sample_every_steps=0)
    config = LanguageTrainConfig(preset="tiny", loop=loop, texts=8, rate=1e-2)
    scribe, texts = make_scribe(tokens), Texts(RECORDED, tokens, 8, seed=0)
    run = Run.open(folder, config, resume=resume)
    save_vocabulary(tokens, folder)
    train_language(scribe, run, config, BrokenAt(texts, stop) if stop else texts)
    return scribe


def test_resumed_equals_uninterrupted_and_what_hears_stays(tmp_path: Path, vocabulary: Vocabulary) -> None:  # noqa: F811
    whole = train(tmp_path / "whole", vocabulary, 6)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "cut", vocabulary, 6, stop=4)
    resumed = train(tmp_path / "cut", vocabulary, 6, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    before = make_scribe(vocabulary).state_dict()
    changed = {name for name, tensor in whole.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if not name.startswith(("hear.", "norm."))}


def test_it_is_put_into_a_scribe_of_the_same_vocabulary_alone(tmp_path: Path, vocabulary: Vocabulary) -> None:  # noqa: F811
    taught, other = train(tmp_path, vocabulary, 2), make_scribe(vocabulary)
    torch.nn.init.ones_(other.hear.weight)
    load_language(tmp_path, other, vocabulary)
    assert torch.equal(other.rows.weight, taught.rows.weight)
    assert torch.equal(other.memory.weight_hh_l0, taught.memory.weight_hh_l0)
    assert torch.equal(other.hear.weight, torch.ones_like(other.hear.weight))
    other_words = train_vocabulary(["quite different words"] * 30, num_text_ids=320, num_image_codes=20)
    with pytest.raises(ConfigError, match="another vocabulary"):
        load_language(tmp_path, other, other_words)


def test_no_question_of_the_test_split_is_read(vocabulary: Vocabulary) -> None:  # noqa: F811
    tests = {item.ask for task in TASKS for item in list_items(task, "test") if item.ask}
    trained = {item.ask for task in TASKS for item in list_items(task, "train") if item.ask}
    texts = Texts(RECORDED, vocabulary, 200, seed=0)
    read = {vocabulary.decode(ids) for step in range(10) for ids in texts[step]}
    assert len(read) > 1000
    assert not read & (tests - trained)
    assert RECORDED[0] in read
    held_out = {vocabulary.decode(ids) for ids in list_held_out(vocabulary)}
    assert len(held_out) == 400
    assert held_out <= tests - trained
    assert Texts([], vocabulary, 200, seed=0)[0] != texts[0]


def test_it_learns_what_is_asked(tmp_path: Path, vocabulary: Vocabulary) -> None:  # noqa: F811
    held_out = list_held_out(vocabulary)[:50]
    before = measure_language(make_scribe(vocabulary), held_out)
    assert measure_language(train(tmp_path, vocabulary, 60), held_out) < 0.8 * before
