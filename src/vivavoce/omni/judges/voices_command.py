"""`viva eval voices`: how well each teacher voice is understood, and told from the others."""

from pathlib import Path

from vivavoce.errors import AssetError
from vivavoce.files import write_json


def eval_command(
    voices: tuple[str, ...] = (),
    count: int = 16,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure the voices that read the user's side and the preset voice.

    Args:
        voices: which ones; without it, all of training, test and preset.
        count: sentences a voice, from the test split of the reading texts.
        seed: of the sentences.
        renderings: folder of clean renderings to look in first.
        json: also write the report here.
    """
    from vivavoce.data.voices.rendering import Renderings
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.data.voices.sentences import reading_texts
    from vivavoce.omni.judges.recogniser import NAME
    from vivavoce.omni.judges.voice_report import report_voices
    from vivavoce.stats import Estimate

    roster = load_roster()
    if unknown := [name for name in voices if name not in roster]:
        raise AssetError(f"no voice {', '.join(unknown)}; there are {', '.join(roster)}")
    chosen = [voice for voice in roster.values() if (voice.name in voices if voices else voice.split != "none")]
    rows = []
    for row in report_voices(chosen, reading_texts(count, seed, "test"), Renderings(renderings)):
        rows.append(row)
        if "voice" in row:
            rate = row["word_error_rate"]
            low, high = rate["ci"] or (None, None)
            said = Estimate(rate["value"], rate["n"], low, high)
            print(f"{row['voice']:<14} {row['split']:<7} word error rate {said}", flush=True)
        else:
            print(row["identity"])
    if json:
        write_json(json, {"recogniser": NAME, "seed": seed, "sentences": count, "rows": rows})
