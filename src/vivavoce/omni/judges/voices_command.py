"""`viva eval voices`: how well each teacher voice is understood, and told from the others."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from vivavoce.errors import AssetError
from vivavoce.files import write_json
from vivavoce.stats import Estimate


def eval_command(
    voices: tuple[str, ...] = (),
    texts: Literal["reading", "questions"] = "reading",
    model: Path | None = None,
    count: int = 16,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure the voices that read the user's side and the preset voice.

    Args:
        voices: which ones; without it, all of training, test and preset.
        texts: what they read: broad sentences, or the small world's questions of fact, both of the test split.
        model: a checkpoint that listens, instead of the recogniser.
        count: texts a voice.
        seed: of the texts.
        renderings: folder of clean renderings to look in first.
        json: also write the report here.
    """
    from vivavoce.data.voices.rendering import Renderings
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.data.voices.sentences import reading_texts
    from vivavoce.omni.answer import load_omni, transcribe_all
    from vivavoce.omni.judges.recogniser import NAME, Recogniser
    from vivavoce.omni.judges.voice_report import report_voices

    roster = load_roster()
    if unknown := [name for name in voices if name not in roster]:
        raise AssetError(f"no voice {', '.join(unknown)}; there are {', '.join(roster)}")
    chosen = [voice for voice in roster.values() if (voice.name in voices if voices else voice.split != "none")]
    read = reading_texts(count, seed, "test") if texts == "reading" else _list_questions(count, seed)
    listen = Recogniser().transcribe_all if model is None else partial(transcribe_all, load_omni(model))
    rows = []
    for row in report_voices(chosen, read, Renderings(renderings), listen):
        rows.append(row)
        if "voice" in row:
            rate, whole = (_read_estimate(row[name]) for name in ("word_error_rate", "heard_whole"))
            print(f"{row['voice']:<14} {row['split']:<7} word error rate {rate}; without an error {whole}", flush=True)
        else:
            print(row["identity"])
    if json:
        listener = NAME if model is None else str(model)
        write_json(json, {"recogniser": listener, "texts": texts, "seed": seed, "sentences": len(read), "rows": rows})


def _list_questions(count: int, seed: int) -> list[str]:
    from vivavoce.data.curriculum import iterate_task

    examples = islice(iterate_task("fact", "audio", "audio", "test", seed), count)
    return [example.speeches[0].text for example in examples]


def _read_estimate(row: dict[str, Any]) -> Estimate:
    low, high = row["ci"] or (None, None)
    return Estimate(row["value"], row["n"], low, high)
