"""English through the diphones of other languages: no phone is forgotten, and the timing is the English front end's."""

import re
import shutil
from pathlib import Path

import pytest

from vivavoce.data.voices.diphones import FOREIGN_VOICES, write_script
from vivavoce.data.voices.programs import speak_festival
from vivavoce.errors import AssetError

# the phone set "radio" of festival's American voices, its silences first
RADIO = (
    "pau h# brth aa ae ah ao aw ax axr ay b ch d dh dx eh el em en er ey f g "
    "hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
)
_VOICES = Path("/usr/share/festival/voices")


@pytest.mark.parametrize("name", FOREIGN_VOICES)
def test_every_english_phone_has_a_nearest_one(name: str) -> None:
    script = write_script("hello", FOREIGN_VOICES[name], 1.0, "out.wav")
    rows = re.findall(r'\("([^"]+)"([^)]*)\)', script.splitlines()[0])
    assert sorted(phone for phone, _ in rows) == sorted(RADIO.split())
    assert all(len(nearest.split()) <= 2 for _, nearest in rows)
    # only the h that Italian has not is left out
    assert [phone for phone, nearest in rows if not nearest.strip()] == (["hh"] if name in ("lp", "pc") else [])


@pytest.mark.parametrize("name", FOREIGN_VOICES)
def test_a_foreign_voice_keeps_the_english_timing(name: str) -> None:
    if shutil.which("festival") is None or not list(_VOICES.glob(f"*/{FOREIGN_VOICES[name].festival}")):
        pytest.skip(f"festival's {FOREIGN_VOICES[name].festival} is not installed")
    english = speak_festival("the old judge has seven dogs.", "kal_diphone", 1.1)
    foreign = speak_festival("the old judge has seven dogs.", name, 1.1)
    assert foreign.duration_s == pytest.approx(english.duration_s, abs=0.03)
    assert abs(foreign.samples).max() > 0.05


def test_an_absent_voice_names_the_packages() -> None:
    if shutil.which("festival") is None:
        pytest.skip("festival is not installed")
    with pytest.raises(AssetError, match=r"said nothing with the voice nobody; .* apt install festival"):
        speak_festival("hello", "nobody", 1.0)
