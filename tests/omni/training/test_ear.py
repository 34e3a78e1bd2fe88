"""The ear alone: alignment against brute force, batches by step alone, resumed equals uninterrupted, words on the clock."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.omni.training.broken import BrokenAt
from vivavoce.data.example import Speech
from vivavoce.data.voices.shards import Shards, write_part
from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.omni.checkpoint import save_checkpoint
from vivavoce.omni.configuration import PRESETS, make_tiny
from vivavoce.omni.layout import MEL_FLOOR
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.ear import (
    BLANK,
    LETTERS,
    Ear,
    EarTrainConfig,
    Utterances,
    align,
    measure_ear,
    spell_out,
    spelling_loss,
    train_ear,
)
from vivavoce.omni.training.features import PreparedSounds, prepare_alignments, prepare_mishearings
from vivavoce.omni.training.loop import Loop, LoopConfig, load_weights
from vivavoce.omni.training.mishearing import EarAlone
from vivavoce.omni.training.places import find_weights, load_ear, load_trunk, start_ear
from vivavoce.omni.vocabulary import Vocabulary, save_vocabulary, train_vocabulary
from vivavoce.run import Run

TEXTS = ("how many", "stop", "how many balls")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return train_vocabulary(list(TEXTS) * 30, num_text_ids=320, num_image_codes=20)


def say(word: str) -> np.ndarray:
    """Sixty frames of a tone of the word's own, then thirty of silence."""
    centre = {"how": 8, "many": 24, "stop": 72, "balls": 46}[word]
    tone = 3 * np.exp(-(((np.arange(80) - centre) / 5.0) ** 2)) + MEL_FLOOR
    return np.concatenate([np.tile(tone, (60, 1)), np.full((30, 80), MEL_FLOOR)])


@pytest.fixture(scope="module")
def mels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each text in two voices, 90 frames a word."""
    folder = tmp_path_factory.mktemp("mels")
    items = [
        (
            np.concatenate([say(word) for word in text.split()]).astype(np.float16),
            {"text": text, "voice": voice},
        )
        for text in TEXTS
        for voice in ("slt", "kal")
    ]
    write_part(folder, 0, items)
    return folder


def collapse(path: tuple[int, ...]) -> list[int]:
    kept = [idx for place, idx in enumerate(path) if place == 0 or idx != path[place - 1]]
    return [idx for idx in kept if idx != BLANK]


@pytest.mark.parametrize("ids", [[1], [1, 2], [2, 2], [1, 2, 1]])
def test_alignment_is_the_best_of_all_paths(ids: list[int]) -> None:
    for seed in range(20):
        log_probs = np.log(np.random.default_rng(seed).dirichlet([0.5] * 3, size=6))
        paths = [path for path in product(range(3), repeat=6) if collapse(path) == ids]
        best = max(paths, key=lambda path: sum(log_probs[step, idx] for step, idx in enumerate(path)))
        ends = [step for step in range(6) if best[step] != BLANK and (step == 5 or best[step + 1] != best[step])]
        later = np.log(np.random.default_rng(99 + seed).dirichlet([0.5] * 3, size=(2, 9)))
        later[1, :6] = log_probs
        # beside another transcript, and with steps after its end that do not count
        found = align(later, [9, 6], [[2, 1, 2], ids])[1]
        assert found is not None
        assert found.tolist() == ends


def test_a_transcript_that_does_not_fit_has_no_alignment() -> None:
    log_probs = np.full((4, 3, 4), np.log(0.25))
    # equal tokens need a blank between them
    longer, equal, fits, empty = align(log_probs, [3, 3, 3, 3], [[1, 2, 3, 1], [1, 1, 1], [1, 2, 3], []])
    assert longer is None
    assert equal is None
    assert fits is not None
    assert fits.tolist() == [0, 1, 2]
    assert empty is not None
    assert empty.tolist() == []


def test_a_step_always_has_the_same_batch_and_every_recording_comes_equally_often(
    mels: Path, vocabulary: Vocabulary
) -> None:
    first, again = (Utterances([Shards(mels)], vocabulary, 2, seed=3) for _ in range(2))
    for step in (2, 0, 1):
        assert torch.equal(first[step].mel, again[step].mel)
    # 24 steps of 2 are 8 epochs of 6 recordings, and 3 pools of 8 steps
    lengths = sorted(length for step in range(24) for length in first[step].id_lengths.tolist())
    assert lengths == sorted(8 * 2 * [len(vocabulary.encode(text)) for text in TEXTS])
    with pytest.raises(DataError, match="no recordings"):
        Utterances([], vocabulary, 2, seed=3)


def test_processes_share_a_step_out_among_them(mels: Path, vocabulary: Vocabulary) -> None:
    whole = Utterances([Shards(mels)], vocabulary, 2, seed=3)
    shares = [Utterances([Shards(mels)], vocabulary, 2, seed=3, rank=rank, world=2) for rank in range(2)]
    for step in range(8):
        ids = torch.cat([share[step].ids for share in shares])
        assert torch.equal(ids, whole[step].ids)
        assert [len(share[step].mel) for share in shares] == [1, 1]
    # what is drawn for one is not what is drawn for the other
    alike = [Utterances([Shards(mels)], vocabulary, 4, seed=3, rank=rank, world=2)[0].mel for rank in range(2)]
    assert not torch.equal(alike[0][:, :24], alike[1][:, :24])
    with pytest.raises(DataError, match="utterances is 3 for 2 processes"):
        Utterances([Shards(mels)], vocabulary, 3, seed=3, rank=0, world=2)


def test_recordings_of_one_batch_are_about_as_long(mels: Path, vocabulary: Vocabulary) -> None:
    batches = Utterances([Shards(mels)], vocabulary, 2, seed=3)
    words = [
        [batches.shards[0].about(number)["text"].count(" ") for _, number in batches._choose(step)] for step in range(8)
    ]
    # sixteen of them in the order of their lengths, in pairs: at most one pair spans each change of length
    assert sum(pair[0] != pair[1] for pair in words) <= 2


def test_letters_half_way_up_leave_marks_out() -> None:
    assert [LETTERS[row - 1] for row in spell_out("It's 7 o'clock, stop!")] == list("it's 7 o'clock stop")
    assert spell_out("?!") == []


def train(
    folder: Path,
    mels: Path,
    vocabulary: Vocabulary,
    steps: int,
    *,
    resume: bool = False,
    stop: int = 0,
    rate: float = 5e-3,
) -> Ear:
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, sample_every_steps=0)
    config = EarTrainConfig(preset="tiny", loop=loop, utterances=2, rate=rate, is_bf16=False)
    torch.manual_seed(0)
    ear = Ear(make_tiny())
    batches = Utterances([Shards(mels)], vocabulary, 2, seed=0)
    train_ear(
        ear,
        Run.open(folder, config, resume=resume),
        config,
        BrokenAt(batches, stop) if stop else batches,
        num_workers=0,
    )
    return ear


def test_resumed_equals_uninterrupted(mels: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", mels, vocabulary, 6)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "cut", mels, vocabulary, 6, stop=4)
    resumed = train(tmp_path / "cut", mels, vocabulary, 6, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_it_learns_its_recordings_and_says_when_each_word_was_over(
    mels: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    ear = train(tmp_path / "run", mels, vocabulary, 700, rate=1e-2)
    batches = Utterances([Shards(mels)], vocabulary, 2, seed=0)
    # of six tokens it may miss one; knowing nothing of the sound, it could not tell "stop" from "how many balls"
    assert measure_ear(ear, batches.take_clean(2)) < 0.2
    assert measure_ear(Ear(make_tiny()), batches.take_clean(2)) > 0.5
    assert list(prepare_alignments(mels, tmp_path / "aligned", ear, vocabulary)) == [(1, 1)]
    sounds = PreparedSounds([mels], [], [tmp_path / "aligned"])
    ends = sounds._ends[0][4].array
    assert len(ends) == len(vocabulary.encode("how many balls"))
    assert (np.diff(ends) > 0).all()
    assert 0 < ends[0] < 90 + 40
    assert sounds.token_ends(Speech("never said", "any-train-0")) is None


class FixedEar(torch.nn.Module):
    """Says one path, whatever it hears."""

    def __init__(self, path: list[int]) -> None:
        super().__init__()
        self.path = torch.nn.Parameter(torch.tensor(path, dtype=torch.float32), requires_grad=False)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        path = self.path.long()[: mel.shape[1] // 8]
        return torch.nn.functional.one_hot(path, 60).float()[None].expand(len(mel), -1, -1)


def test_a_mishearing_is_the_ears_likeliest_path_with_the_last_step_of_each_word(mels: Path, tmp_path: Path) -> None:
    # six steps of quiet stand before the recording, from whose start frames count
    path = [*[BLANK] * 6, BLANK, 50, 50, BLANK, 50, 51, *[BLANK] * 40]
    assert list(prepare_mishearings(mels, tmp_path / "misheard", EarAlone(FixedEar(path)))) == [(1, 1)]
    sounds = PreparedSounds([mels], [], [], [tmp_path / "misheard"])
    found = sounds.misheard(Speech("stop", "kal"))
    assert found is not None
    assert found.ids.tolist() == [50, 50, 51]
    assert found.ends.tolist() == [23, 39, 47]
    assert sounds.misheard(Speech("never said", "any-train-0")) is None
    assert PreparedSounds([mels]).misheard(Speech("stop", "kal")) is None


def test_a_spelling_layer_that_is_new_does_not_move_the_stem(mels: Path, vocabulary: Vocabulary) -> None:
    ear = Ear(make_tiny())
    batch = Utterances([Shards(mels)], vocabulary, 2, seed=0)[0]
    for is_apart in (True, False):
        ear.zero_grad()
        spelling_loss(ear.spell(batch.mel, is_apart=is_apart)[1], batch).backward()
        assert ear.spelling.weight.grad is not None
        assert ear.spelling.weight.grad.abs().sum() > 0
        assert all(tensor.grad is None for tensor in ear.stem.parameters()) == is_apart


def test_the_ear_of_another_vocabulary_is_refused(mels: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    ear = train(tmp_path, mels, vocabulary, 2)
    save_vocabulary(vocabulary, tmp_path)
    loaded = load_ear(tmp_path, make_tiny(), vocabulary)
    for name, tensor in ear.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    other = train_vocabulary(["a red car"] * 30, num_text_ids=320, num_image_codes=20)
    with pytest.raises(ConfigError, match="another vocabulary"):
        load_ear(tmp_path, make_tiny(), other)
    with pytest.raises(ConfigError, match="no training state"):
        load_weights(find_weights(tmp_path / "nothing"), {"ear": ear})


def test_an_ear_goes_on_from_a_trunk_or_an_ear(mels: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = OmniForConversation(make_tiny())
    loop = LoopConfig(steps=1, warmup_steps=1, save_every_steps=1, sample_every_steps=0)
    Loop(Run.open(tmp_path / "omni", EarTrainConfig(preset="tiny")), loop, {"omni": trunk}, {}).save()
    loaded = start_ear(tmp_path / "omni", make_tiny(), vocabulary)
    for name, tensor in trunk.stem.state_dict().items():
        assert torch.equal(tensor, loaded.stem.state_dict()[name]), name
    for name, tensor in trunk.scribe.state_dict().items():
        assert torch.equal(tensor, loaded.scribe.state_dict()[name]), name
    ear = train(tmp_path / "ear", mels, vocabulary, 2)
    save_vocabulary(vocabulary, tmp_path / "ear")
    loaded = start_ear(tmp_path / "ear", make_tiny(), vocabulary)
    for name, tensor in ear.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    with pytest.raises(CheckpointError, match="does not fit"):
        load_trunk(tmp_path / "omni", PRESETS["nano"]())
    save_checkpoint(tmp_path / "shipped", trunk, vocabulary, dtype=torch.float32)
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, load_trunk(tmp_path / "shipped", make_tiny()).state_dict()[name]), name


def test_any_voice_is_one_of_those_that_read_the_text(tmp_path: Path) -> None:
    mels = [say("stop").astype(np.float16) + step for step in range(2)]
    write_part(tmp_path, 0, [(mel, {"text": "stop", "voice": name}) for mel, name in zip(mels, ("kal", "joe"))])
    sounds = PreparedSounds([tmp_path])
    heard = [sounds.user_mel(Speech("stop", f"any-train-{take}")) for take in range(4)]
    assert [np.array_equal(mel, mels[take % 2]) for take, mel in enumerate(heard)] == [True] * 4
    assert np.array_equal(sounds.user_mel(Speech("stop", "joe")), mels[1])
    for speech in (Speech("stop", "any-test-0"), Speech("never said", "any-train-1"), Speech("stop", "slt")):
        with pytest.raises(KeyError):
            sounds.user_mel(speech)
