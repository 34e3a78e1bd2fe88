"""Make the voice guard's reference of the preset voice.

Command:   python recipes/serve_preset_voice.py
Hardware:  one CPU core; the packages of the preset voice's teacher and of the speaker encoder
Time:      a minute
Result:    src/vivavoce/serve/guards/preset_heart.json: the mean vector of 24 readings, and how near each lies to it
"""

import json
from pathlib import Path

import numpy as np

from vivavoce.data.voices.roster import load_roster
from vivavoce.data.voices.speaking import speak
from vivavoce.serve.guards.preset import PackagedEncoder
from vivavoce.serve.guards.voice import make_reference

SENTENCES = [
    f"{opening} {rest}"
    for opening in ("I see", "There is", "You asked about", "The answer is", "Let me tell you about", "I can hear")
    for rest in (
        "a small red ball under the table.",
        "seven green trees.",
        "the day after monday.",
        "a house by the sea.",
    )
]


def main() -> None:
    voice = load_roster()["heart"]
    recordings = [speak(text, voice, 24_000).samples for text in SENTENCES]
    reference = make_reference(PackagedEncoder(), recordings)
    near = [reference.compare(samples) for samples in recordings]
    path = Path(__file__).parents[1] / "src/vivavoce/serve/guards/preset_heart.json"
    vector = [round(float(value), 5) for value in reference.vector]
    path.write_text(json.dumps({"voice": "heart", "n": len(near), "min_cosine": min(near), "vector": vector}) + "\n")
    print(f"n={len(near)}, cosine to the mean: min {min(near):.3f}, mean {np.mean(near):.3f}")


if __name__ == "__main__":
    main()
