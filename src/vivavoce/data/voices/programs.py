"""Voices that are external programs: flite, espeak-ng, festival. Each text is one process; nothing is linked in.

Raises throughout: AssetError if the program is missing or fails, naming the Debian package that brings it.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from vivavoce.content import Audio
from vivavoce.data.voices.diphones import FOREIGN_VOICES, write_script
from vivavoce.errors import AssetError

_FESTIVAL = (
    "festival festvox-kdlpc16k festvox-kallpc16k festvox-czech-machac festvox-czech-ph festvox-czech-dita festvox-czech-krb "
    "festvox-italp16k festvox-itapc16k festvox-suopuhe-lj festvox-suopuhe-mv festival-te festvox-te-nsk"
)
_PACKAGES = {"flite": "flite", "espeak-ng": "espeak-ng", "festival": _FESTIVAL}
# chosen: a sentence takes well under a second; a hung program is not waited for
_TIMEOUT_S = 60
_ESPEAK_WORDS_A_MINUTE = 175


def speak_flite(text: str, voice: str, pace: float) -> Audio:
    """One of flite's own voices; `pace` above 1 is faster."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        _call(["flite", "-voice", voice, "--setf", f"duration_stretch={1 / pace:.4f}", "-t", text, "-o", str(out)])
        return _read(out.read_bytes())


def speak_espeak(text: str, voice: str, pace: float) -> Audio:
    """A voice of espeak-ng, `language+variant`."""
    speed = str(round(_ESPEAK_WORDS_A_MINUTE * pace))
    return _read(_call(["espeak-ng", "-v", voice, "-s", speed, "--stdout", "--", text]))


def speak_festival(text: str, voice: str, pace: float) -> Audio:
    """A diphone voice of festival; one of another language reads English with an accent (`diphones`)."""
    quoted = text.replace("\\", " ").replace('"', " ")
    with tempfile.TemporaryDirectory() as folder:
        out, script = Path(folder) / "said.wav", Path(folder) / "say.scm"
        if voice in FOREIGN_VOICES:
            script.write_text(write_script(quoted, FOREIGN_VOICES[voice], pace, str(out)))
        else:
            script.write_text(
                f"(voice_{voice})\n(Parameter.set 'Duration_Stretch {1 / pace:.4f})\n"
                f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{out}" \'riff)\n'
            )
        try:
            # its usual heap of 10 million cells takes longer to clear than a sentence takes to say
            _call(["festival", "--heap", "300000", "-b", str(script)])
        except AssetError:
            # a long sentence needs more (seen: nine words, exit code 255), and a voice that is absent fails alike
            with contextlib.suppress(AssetError):
                _call(["festival", "-b", str(script)])
        if not out.exists():
            raise AssetError(
                f"festival said nothing with the voice {voice}; if it is not installed: apt install {_FESTIVAL}, or leave it out"
            )
        return _read(out.read_bytes())


def find_phonemes(text: str, language: str = "en-us") -> str:
    """International phonetic alphabet of a text, by espeak-ng, words apart by spaces; marks stay where they stand."""
    pieces = re.split(r"([,;:.!?])", text)
    said = [piece.strip() for piece in pieces[::2]]
    marks = [*pieces[1::2], ""]
    lines = _call(["espeak-ng", "-q", "--ipa", "-v", language, "--stdin"], "\n\n".join(filter(None, said)).encode())
    found = iter(line.strip() for line in lines.decode().splitlines() if line.strip())
    return " ".join((next(found, "") if piece else "") + mark for piece, mark in zip(said, marks)).strip()


def _call(command: list[str], data: bytes = b"") -> bytes:
    package = _PACKAGES[command[0]]
    if shutil.which(command[0]) is None:
        raise AssetError(f"the program {command[0]} is not installed; apt install {package}, or leave its voices out")
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise AssetError(f"{command[0]} took more than {_TIMEOUT_S} s; shorten the text") from error
    if done.returncode:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise AssetError(f"{command[0]} failed with exit code {done.returncode}: {tail[0]}")
    return done.stdout


def _read(data: bytes) -> Audio:
    """Samples of a wav; espeak-ng's stream states a length that is not true, so the data chunk is cut by hand."""
    if data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") >= 0x7FFFF000:
        start = data.index(b"data") + 8
        rate_hz = int.from_bytes(data[24:28], "little")
        samples = np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], "<i2")
        return Audio(samples.astype(np.float32) / 32768, rate_hz)
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return Audio(np.ascontiguousarray(samples.mean(1)), rate_hz)
