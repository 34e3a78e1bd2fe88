"""The voice classifier by language: which clips there are, and what is said of a language that the preset does not speak."""

from pathlib import Path

import pytest

from vivavoce.card import package_studio
from vivavoce.card.derived import measure_classifier
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Item
from vivavoce.card.media_store import ENVIRONMENT_VARIABLE
from vivavoce.card.package_studio import PackageStudio
from vivavoce.card.records import Record
from vivavoce.card.tasks import TaskOptions, load_items
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.card.voiced import voice_input
from vivavoce.errors import ConfigError

EVALUATION = EVALUATIONS["voice_authorization_classifier"]


def make_record(idx: int, similarity: float, *, other: bool, language: str = "en", category: str = "") -> Record:
    flagged = float(similarity < 0.85)
    item = Item(
        item_id=f"i-{language}-{other}-{idx}", measure="right_verdict", category=category,
        attributes={"spoken_language": language} if language != "en" else {},
    )  # fmt: skip
    extra = {"lowest_similarity": similarity, "is_other": float(other), "flagged": flagged}
    return Record(
        sample_id=f"{item.item_id}", epoch=1, item=item, arm="audio", voice=f"{language}-{idx}" if other else "heart",
        channel="", value=float(bool(flagged) == other), extra=extra,
    )  # fmt: skip


def test_every_language_has_its_own_rows_and_english_ones_hold_no_other_language() -> None:
    records = [make_record(idx, 0.95, other=False) for idx in range(4)]
    records += [make_record(idx, 0.5, other=True) for idx in range(5)]
    records += [make_record(idx, 0.9 if idx < 3 else 0.5, other=True, language="de", category="speaks German") for idx in range(6)]  # fmt: skip
    rows = {row.label: row for row in measure_classifier(records)}
    english, german = rows["recall"].estimate, rows["recall in German"].estimate
    assert english is not None
    assert german is not None
    assert (english.value, english.n, german.value, german.n) == (1.0, 5, 0.5, 6)
    assert rows["recall in German"].note == "6 other voices, clustered by voice"
    assert rows["precision on these clips"].note == "prevalence 0.56"
    assert rows["false positive rate in German"].word == "n/a"
    assert "the preset speaks English only" in rows["false positive rate in German"].note
    assert "English" in rows["equal error rate in German"].note


def test_clips_of_a_language_are_put_only_where_the_studio_speaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    toned, _ = load_items(EVALUATION, TaskOptions(studio="tones"))
    assert all("spoken_language" not in item.attributes for item in toned)
    monkeypatch.setattr(package_studio, "_find_voices", lambda: ("slt", "espeak-gb"))
    spoken, _ = load_items(EVALUATION, TaskOptions(studio="packages"))
    by_language = {
        code: {item.voice for item in spoken if item.attributes.get("spoken_language") == code}
        for code in ("de", "es", "fr")
    }
    assert {code: len(voices) for code, voices in by_language.items()} == {"de": 12, "es": 12, "fr": 12}
    assert len(spoken) == EVALUATION.quick_items
    monkeypatch.setattr(package_studio, "_find_voices", lambda: ("slt",))
    assert PackageStudio().languages == ("en",)


def test_a_voice_of_another_language_speaks_and_one_of_no_known_language_is_refused() -> None:
    studio = PackageStudio()
    with pytest.raises(ConfigError, match=r"voice 'espeak:xx\+f1' is unknown"):
        studio.speak("hello", "espeak:xx+f1")
    if "de" not in studio.languages:
        pytest.skip("espeak-ng is not installed (Debian: espeak-ng)")
    assert studio.speak("Guten Morgen, wie geht es dir?", "espeak:de+f1").duration_s > 0.5


def test_what_the_recogniser_cannot_read_is_not_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    monkeypatch.delenv("VIVA_CARD_VOICED", raising=False)
    assert voice_input(ToneStudio(), "guten tag", "tone-2", read_back=False).heard is None
    assert voice_input(ToneStudio(), "good day", "tone-2").heard == "good day"
