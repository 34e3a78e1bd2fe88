"""Spliced utterances: what is written is what is heard, in one voice; cuts lie in the quiet between words."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.omni.training.test_ear import mels, say, vocabulary  # noqa: F401 - fixtures
from vivavoce.data.voices.shards import Shards, write_part
from vivavoce.errors import DataError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import Utterances
from vivavoce.omni.training.features import prepare_cuts
from vivavoce.omni.training.second_pass import QUIET, Listener
from vivavoce.omni.training.splicing import Splicer, place_cuts
from vivavoce.omni.vocabulary import Vocabulary

WORDS = ("how", "many", "stop", "balls")
WORD_FRAMES = 90


@pytest.fixture(scope="module")
def cuts(mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A word begins every 90 frames; of one recording it is not known."""
    folder, shards = tmp_path_factory.mktemp("cuts"), Shards(mels)
    items = []
    for number in range(len(shards)):
        about = shards.about(number)
        known = np.arange(len(about["text"].split()) + 1) * WORD_FRAMES
        items.append(((known if number else known[:0]).astype(np.int16), {"voice": about["voice"]}))
    write_part(folder, 0, items)
    return folder


def read_words(mel: np.ndarray) -> list[str]:
    """Which word's tone each 90 frames hold."""
    heard = []
    for start in range(0, len(mel), WORD_FRAMES):
        block = mel[start : start + WORD_FRAMES]
        heard += [word for word in WORDS if np.allclose(block, say(word), atol=1e-2)]
    return heard


def test_what_is_written_is_what_is_heard(mels: Path, cuts: Path) -> None:  # noqa: F811
    splicer = Splicer([Shards(mels)], [Shards(cuts)])
    texts = set()
    for seed in range(200):
        mel, text = splicer.splice(4 * WORD_FRAMES, np.random.default_rng(seed))
        assert len(mel) >= 4 * WORD_FRAMES
        assert len(mel) % WORD_FRAMES == 0
        assert text == " ".join(read_words(mel)) + "."
        texts.add(text)
    # orders that no recording has
    assert any("stop how" in text or "balls many" in text for text in texts)
    again, text = splicer.splice(4 * WORD_FRAMES, np.random.default_rng(0))
    assert np.array_equal(again, splicer.splice(4 * WORD_FRAMES, np.random.default_rng(0))[0])


def test_each_is_of_one_voice(tmp_path: Path) -> None:
    voices = {"slt": np.float16(1), "kal": np.float16(2)}
    write_part(
        tmp_path / "mels",
        0,
        [(np.full((100, 80), level), {"text": "how many", "voice": voice}) for voice, level in voices.items()] * 3,
    )
    write_part(tmp_path / "cuts", 0, [(np.array([0, 50, 100], np.int16), {"voice": voice}) for voice in voices] * 3)
    splicer = Splicer([Shards(tmp_path / "mels")], [Shards(tmp_path / "cuts")])
    made = [splicer.splice(400, np.random.default_rng(seed))[0] for seed in range(40)]
    assert all(len(np.unique(mel)) == 1 for mel in made)
    assert {float(mel[0, 0]) for mel in made} == {1.0, 2.0}


def test_share_of_a_batch(mels: Path, cuts: Path, vocabulary: Vocabulary) -> None:  # noqa: F811
    def texts_of(share: float) -> list[str]:
        splicer = Splicer([Shards(mels)], [Shards(cuts)])
        batches = Utterances([Shards(mels)], vocabulary, 6, seed=0, quiet=QUIET, splicer=splicer, splice_share=share)
        found = []
        for step in range(8):
            batch = batches[step]
            found += [vocabulary.decode(ids.tolist()) for ids in batch.ids.split(batch.id_lengths.tolist())]
        return found

    assert not any(text.endswith(".") for text in texts_of(0.0))
    assert all(text.endswith(".") for text in texts_of(1.0))
    assert {text.endswith(".") for text in texts_of(0.5)} == {True, False}


def test_recordings_to_measure_on_are_never_spliced(mels: Path, cuts: Path, vocabulary: Vocabulary) -> None:  # noqa: F811
    splicer = Splicer([Shards(mels)], [Shards(cuts)])
    batches = Utterances([Shards(mels)], vocabulary, 6, seed=0, splicer=splicer, splice_share=1.0)
    (batch,) = batches.take_clean(6)
    texts = [vocabulary.decode(ids.tolist()) for ids in batch.ids.split(batch.id_lengths.tolist())]
    assert texts == [Shards(mels).about(number)["text"] for number in range(6)]


def test_a_cut_lies_in_the_quiet_between_words() -> None:
    mel = np.zeros((300, 80), np.float16)
    mel[97:101] = -1
    # two tokens, then one, each said 18 frames after the middle between the words
    assert place_cuts(np.array([60, 100, 132]), [2, 1], mel).tolist() == [0, 97, 300]
    # the quietest is out of reach
    assert place_cuts(np.array([60, 140, 160]), [2, 1], mel).tolist() == [0, 128, 300]


@pytest.mark.parametrize(
    ("frames", "words"),
    [([60, 61, 62], [1, 1, 1]), ([60, 100], [2, 1]), ([60, 100], [2, 0]), ([4, 8], [1, 1])],
    ids=["words in one place", "a token too few", "a word without a token", "before it begins"],
)
def test_without_room_for_its_words_there_are_no_cuts(frames: list[int], words: list[int]) -> None:
    assert len(place_cuts(np.array(frames), words, np.zeros((300, 80), np.float16))) == 0


def test_cuts_are_found_for_each_recording_once(
    mels: Path,  # noqa: F811
    vocabulary: Vocabulary,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = make_tiny()
    torch.manual_seed(0)
    listener = Listener(config, Stem(config.stem_widths, config.stem_blocks))
    assert list(prepare_cuts(mels, tmp_path, listener, vocabulary)) == [(1, 1)]
    found, recordings = Shards(tmp_path), Shards(mels)
    assert len(found) == len(recordings)
    for number in range(len(found)):
        about = recordings.about(number)
        assert {name: found.about(number)[name] for name in ("text", "voice")} == {
            name: about[name] for name in ("text", "voice")
        }
        cuts = found[number].array
        assert len(cuts) in (0, len(about["text"].split()) + 1)
        assert len(cuts) == 0 or (cuts[0] == 0 and cuts[-1] == about["length"] and (np.diff(cuts) > 0).all())
    written = (tmp_path / "part-0000.npy").stat().st_mtime_ns
    assert list(prepare_cuts(mels, tmp_path, listener, vocabulary)) == [(1, 1)]
    assert (tmp_path / "part-0000.npy").stat().st_mtime_ns == written


def test_cuts_of_other_recordings_are_refused(mels: Path, cuts: Path, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(DataError, match="same recordings"):
        Splicer([Shards(mels), Shards(mels)], [Shards(cuts)])
    write_part(tmp_path, 0, [(np.empty(0, np.int16), {"voice": "slt"})] * len(Shards(mels)))
    with pytest.raises(DataError, match="learned nothing"):
        Splicer([Shards(mels)], [Shards(tmp_path)])
