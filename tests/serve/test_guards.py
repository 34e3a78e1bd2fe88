"""The guards: alone, in a conversation, and their own measuring."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vivavoce.errors import ConfigError, DataError
from vivavoce.serve.guards.evaluation import (
    Labelled,
    load_labelled,
    read_labelled,
    score,
    score_text_guard,
)
from vivavoce.serve.guards.findings import Finding
from vivavoce.serve.guards.linear import read_linear_guard
from vivavoce.serve.guards.linear_training import fit, fit_with_threshold
from vivavoce.serve.guards.moderation import EitherGuard, load_moderation
from vivavoce.serve.guards.session_guards import GuardSet
from vivavoce.serve.guards.text_rules import load_rule_guard, load_text_guard, read_rules
from vivavoce.serve.guards.voice import UtteranceVoice, VoiceGuardSettings, make_reference
from vivavoce.serve.guards.voice_calibration import Looks, Recording, choose_threshold, divide, look, score_looks
from vivavoce.serve.scripted_engine import OTHER_HZ, PRESET_HZ, make_tone
from vivavoce.serve.session_state import State

from .conftest import Talk, write


class PitchEncoder:
    """A voice is the pitch of its loudest tone."""

    def embed(self, samples, rate_hz):
        spectrum = np.abs(np.fft.rfft(samples))
        angle = np.pi * np.argmax(spectrum) * rate_hz / len(samples) / 1000
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


class NoBananas:
    """Finds one harmless word."""

    def judge(self, text, where, question=""):
        return Finding("moderation", where, "banana", 1.0) if "banana" in text else None


def make_bananas():
    return NoBananas()


def voice_guards(mode="watch"):
    reference = make_reference(PitchEncoder(), [make_tone(PRESET_HZ, 0, 24_000)])
    return GuardSet(voice=reference, voice_settings=VoiceGuardSettings(mode=mode, threshold=0.9))


def speak_about(talk, text):
    talk.configure()
    write(talk, text)
    talk.send("response.create")
    talk.run(8.0)
    return talk.last("response.done")["response"]


LONG = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize("mode", ["watch", "hold"])
def test_the_presets_own_voice_passes_whole(mode):
    guarded, free = Talk(guards=voice_guards(mode)), Talk()
    assert speak_about(guarded, LONG)["status"] == "completed"
    speak_about(free, LONG)
    np.testing.assert_array_equal(guarded.audio(), free.audio())


def test_another_voice_is_cut_after_the_first_window_when_watched():
    talk = Talk(guards=voice_guards("watch"))
    response = speak_about(talk, "another voice " + LONG)
    assert response["status_details"] == {"type": "incomplete", "reason": "content_filter"}
    assert len(talk.audio()) / 24_000 == pytest.approx(0.8, abs=0.17)
    assert talk.session.state is State.LISTENING
    assert talk.inputs[-1].force == "stop"


def test_not_a_sample_of_another_voice_is_sent_when_held():
    talk = Talk(guards=voice_guards("hold"))
    response = speak_about(talk, "another voice " + LONG)
    assert response["status_details"]["reason"] == "content_filter"
    assert len(talk.audio()) == 0


def test_talk_goes_on_after_a_cut():
    talk = Talk(guards=GuardSet(texts=(NoBananas(),)))
    assert speak_about(talk, "banana")["status_details"]["reason"] == "content_filter"
    assert talk.session.findings[0].category == "banana"
    talk.session.findings.clear()
    write(talk, "apple")
    talk.send("response.create")
    talk.run(6.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_what_the_model_says_is_judged_as_it_says_it():
    talk = Talk(guards=GuardSet(texts=(NoBananas(),)))
    talk.configure()
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]}
    talk.send("conversation.item.create", item=item)
    write(talk, "say apple banana cherry date")
    talk.session.guards.poll()
    talk.send("response.create")
    talk.run(8.0)
    response = talk.last("response.done")["response"]
    assert response["status_details"]["reason"] == "content_filter"
    assert "cherry" not in response["output"][0]["content"][0]["transcript"]


def test_windows_come_at_the_first_and_then_every_hop():
    voice = UtteranceVoice(VoiceGuardSettings(first_window_s=0.8, window_s=1.6, hop_s=0.4))
    looked = [len(w) if (w := voice.add(make_tone(220, 0, 1920))) is not None else 0 for _ in range(40)]
    assert [idx for idx, size in enumerate(looked) if size] == [9, 14, 19, 24, 29, 34, 39]
    assert looked[9] == 19_200
    assert looked[39] == 38_400


def test_held_speech_is_released_in_order_as_windows_pass():
    voice = UtteranceVoice(VoiceGuardSettings(mode="hold"))
    frames = [np.full(1920, idx / 100, np.float32) for idx in range(12)]
    for frame in frames:
        voice.add(frame)
    assert voice.release() == []
    voice.pass_until(10 * 1920)
    released = voice.release()
    assert [frame[0] for frame in released] == [frame[0] for frame in frames[:10]]
    assert len(voice.release(everything=True)) == 2


def test_a_score_is_worked_out_by_hand():
    counted = score([True, True, False, False, True], [True, False, True, False, True])
    assert (counted.precision.value, counted.recall.value) == (2 / 3, 2 / 3)
    assert counted.false_positive_rate.value == 0.5
    assert counted.to_json()["prevalence"] == 0.6


def looks(voice, is_other, *cosines):
    return Looks(voice, is_other, cosines, tuple(19_200 + 9_600 * idx for idx in range(len(cosines))))


def test_the_voice_guard_is_scored_on_what_it_would_cut():
    guards = voice_guards()
    recordings = [Recording(make_tone(PRESET_HZ, 0, 48_000), "own", False)] * 3
    recordings += [Recording(make_tone(OTHER_HZ, 0, 48_000), "other", True)] * 3
    seen = [look(guards.voice, guards.voice_settings, recording) for recording in recordings]
    found = score_looks(seen, guards.voice_settings.threshold)
    assert found.utterances.recall.value == found.utterances.precision.value == 1.0
    assert found.equal_error_rate == 0.0
    assert found.escaped_s == pytest.approx([0.8] * 3)


def test_a_threshold_lies_in_the_middle_of_the_widest_gap_that_errs_least():
    own = [looks("own", False, 0.9, 0.8), looks("own", False, 0.95)]
    others = [looks("a", True, 0.7, 0.4), looks("b", True, 0.5)]
    assert choose_threshold([*own, *others]) == pytest.approx(0.65)  # lowest: 0.8, 0.95 against 0.4, 0.5
    # one of the others is like the preset: missing it errs less than cutting a half of the preset's
    assert choose_threshold([*own, *others, looks("c", True, 0.85)]) == pytest.approx(0.65)
    with pytest.raises(DataError, match="needs recordings of the preset and of other voices"):
        choose_threshold(own)


def test_voices_that_a_threshold_is_reported_on_had_no_part_in_choosing_it():
    own = [looks("own", False, idx / 10) for idx in range(5)]
    others = [looks(name, True, 0.1) for name in ("a", "b", "c", "a", "b")]
    chosen, rest = divide([*own, *others])
    assert [item.voice for item in chosen] == ["own"] * 3 + ["a", "c", "a"]
    assert [item.voice for item in rest] == ["own"] * 2 + ["b", "b"]
    with pytest.raises(DataError, match="5 recordings of the preset and 1 other voices"):
        divide([*own, others[0]])


def test_half_the_windows_may_escape_but_the_first_cuts():
    found = score_looks([looks("own", False, 0.9), looks("a", True, 0.9, 0.3, 0.9, 0.3)], 0.5)
    assert (found.utterances.recall.value, found.windows.recall.value) == (1.0, 0.5)
    assert found.escaped_s == [28_800 / 24_000]


def test_planted_words_are_found_in_prompts_that_trained_nothing():
    # harmless words all: the classifier must find what sets the two kinds apart, whatever it is
    generator = np.random.default_rng(0)
    filler = ["table", "green", "seven", "monday", "river", "song", "window", "paper", "bread", "cloud"]
    texts, bad = [], []
    for idx in range(120):
        words = [str(word) for word in generator.choice(filler, 6)]
        bad.append(idx % 3 == 0)
        texts.append(" ".join([*words, "banana" if bad[-1] else "apple"]))
    guard = fit_with_threshold(texts[:80], bad[:80], false_positive_rate=0.0, seed=0)
    found = [guard.judge(text, "input") is not None for text in texts[80:]]
    assert found == bad[80:]
    assert guard.judge(texts[0], "output") is None
    again = fit_with_threshold(texts[:80], bad[:80], false_positive_rate=0.0, seed=0)
    assert (again.threshold, again.bias) == (guard.threshold, guard.bias)
    with pytest.raises(DataError, match="need both"):
        fit_with_threshold(["a", "b"], [True, True], false_positive_rate=0.0, seed=0)


def test_weights_come_back_from_their_file_and_others_are_refused(tmp_path):
    guard = fit(["one banana", "one apple", "two bananas", "two apples"], [True, False, True, False])
    guard.save(tmp_path / "weights.npz")
    held = read_linear_guard(tmp_path / "weights.npz")
    assert held.score("three bananas") == pytest.approx(guard.score("three bananas"), abs=1e-2)
    (tmp_path / "other.npz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"other\.npz holds no weights"):
        read_linear_guard(tmp_path / "other.npz")


def test_the_classifier_that_ships_is_small_and_quick_and_lets_plain_talk_through():
    guard = load_moderation("classifier")
    assert guard is not None
    for text in ("hello", "what is the capital of france?", "draw a red ball", "", "how do I bake bread?"):
        assert guard.judge(text, "input") is None
    started_s = time.perf_counter()
    guard.judge("what is the weather like today? " * 600, "input")
    # milliseconds; what it must not be is more than linear in the length of the text
    assert time.perf_counter() - started_s < 20.0
    assert load_moderation("off") is None


def test_rules_and_classifier_together_find_what_either_finds():
    both = EitherGuard((NoBananas(), load_rule_guard("identity")))
    assert both.judge("a banana", "input").category == "banana"
    assert both.judge("that is tom hanks", "output", "who is speaking?").guard == "identity"
    assert both.judge("an apple", "input") is None


@pytest.mark.parametrize("name", ["moderation", "identity"])
def test_the_packages_rules_hold_on_the_packages_set(name):
    """A floor under what docs/serve.md reports, so that a rule that breaks is seen."""
    scored, _ = score_text_guard(load_rule_guard(name), load_labelled(name))
    assert scored.recall.value >= 0.85
    assert scored.false_positive_rate.value <= 0.1


def test_no_sentence_is_in_a_set_twice():
    for name in ("moderation", "identity"):
        rows = [(row.text, row.question) for row in load_labelled(name)]
        assert len(set(rows)) == len(rows)


def test_a_quotations_author_may_be_named_but_not_a_speaker():
    guard = load_rule_guard("identity")
    assert guard.judge("that is martin luther king", "output", "who said i have a dream?") is None
    assert guard.judge("that is tom hanks", "output", "who is speaking?") is not None
    assert guard.judge("i can't tell who is speaking", "output", "who is speaking?") is None


def test_rules_that_are_wrong_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"mine: rule 0 .* has a bad pattern"):
        read_rules("rules: [{category: a, any: ['(']}]", "mine")
    with pytest.raises(ConfigError, match="mine has no list `rules`"):
        read_rules("[]", "mine")
    with pytest.raises(ConfigError, match="rule 0 needs category and any"):
        read_rules("rules: [{category: a, when: b}]", "mine")


def test_a_guard_of_ones_own_is_loaded_by_name(tmp_path):
    assert load_text_guard(f"{__name__}:make_bananas").judge("banana", "input") is not None
    with pytest.raises(ConfigError, match="can't be loaded"):
        load_text_guard("nowhere:nothing")
    with pytest.raises(ConfigError, match="are not there"):
        load_text_guard("missing.yaml")


def test_a_set_of_ones_own_names_the_line_that_is_wrong(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "a", "is_bad": true}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"set\.jsonl, line 2"):
        read_labelled(path)
    path.write_text('{"text": "a", "is_bad": true}\n')
    assert read_labelled(path) == [Labelled("a", True)]
