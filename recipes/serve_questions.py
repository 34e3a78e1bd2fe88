"""Record the questions that `viva bench` and `viva serve --self-check` ask.

Command:   python recipes/serve_questions.py
Hardware:  any; flite and festival have to be installed (Debian: flite festival festvox-kdlpc16k)
Time:      under a minute
Result:    src/vivavoce/serve/bench/questions.jsonl, the same each time: 16 questions by 5 voices, 4 of them with a pause
           of 0.7 s inside the sentence, and 2 interruptions; Ogg Opus at 24 kHz in base64
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import soundfile

from vivavoce.data.voices.roster import load_roster
from vivavoce.data.voices.speaking import speak

RATE_HZ = 24_000
# a bar is a pause
QUESTIONS = [
    ("what colour is a banana?", "ked"),
    ("what is the opposite of big?", "slt"),
    ("what is two plus three?", "rms"),
    ("which day comes after monday?", "kal"),
    ("what colour is the sky?", "awb"),
    ("what is the opposite of hot?", "ked"),
    ("tell me the colour of grass.", "slt"),
    ("what is four plus four?", "kal"),
    ("which month comes after june?", "rms"),
    ("what is the opposite of fast?", "awb"),
    ("what is one plus six?", "slt"),
    ("which day comes after friday?", "ked"),
    ("what is | the opposite of day?", "slt"),
    ("which day | comes after sunday?", "rms"),
    ("what colour | is snow?", "kal"),
    ("what is | three plus five?", "ked"),
]
INTERRUPTIONS = [("wait, stop. what is two plus two?", "slt"), ("no, hold on. what colour is a banana?", "rms")]


def record(text: str, voice: str) -> np.ndarray:
    parts = [speak(part.strip(), load_roster()[voice], RATE_HZ).samples for part in text.split("|")]
    pieces = [np.zeros(RATE_HZ // 5, np.float32)]
    for idx, part in enumerate(parts):
        pieces += [np.zeros(int(0.7 * RATE_HZ), np.float32)] if idx else []
        pieces.append(part)
    return np.concatenate(pieces)


def main() -> None:
    lines = []
    rows = [("question", *row) for row in QUESTIONS] + [("interruption", *row) for row in INTERRUPTIONS]
    for kind, text, voice in rows:
        buffer = io.BytesIO()
        soundfile.write(buffer, record(text, voice), RATE_HZ, format="OGG", subtype="OPUS")
        plain = text.replace("| ", "")
        data = base64.b64encode(buffer.getvalue()).decode()
        lines.append(json.dumps({"kind": kind, "text": plain, "voice": voice, "has_pause": "|" in text, "opus": data}))
    path = Path(__file__).parents[1] / "src/vivavoce/serve/bench/questions.jsonl"
    path.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} recordings, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
