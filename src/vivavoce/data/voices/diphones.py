"""English read by festival's diphone voices of other languages.

Festival's English front end (its American voice `kal_diphone`) finds phones, lengths and melody; each phone is then replaced by
the nearest one or two that the other language has, and that language's diphones are joined. So a Czech, an Italian or a Finn
reads English with an accent, an Indian too, and nine more talkers come from a trusted source. How well each is understood: docs/voices.md.
"""

from __future__ import annotations

from typing import NamedTuple


class ForeignVoice(NamedTuple):
    """festival: what festival calls it; language: a key of the tables below; pitch_hz: mean of the melody."""

    festival: str
    language: str
    pitch_hz: int


FOREIGN_VOICES = {
    "machac": ForeignVoice("czech_machac", "czech", 110),
    "ph": ForeignVoice("czech_ph", "czech", 115),
    "dita": ForeignVoice("czech_dita", "czech", 180),
    "krb": ForeignVoice("czech_krb", "czech", 190),
    "lp": ForeignVoice("lp_diphone", "italian", 190),
    "pc": ForeignVoice("pc_diphone", "italian", 120),
    "lj": ForeignVoice("suo_fi_lj_diphone", "finnish", 180),
    "mv": ForeignVoice("hy_fi_mv_diphone", "finnish of mv", 115),
    "nsk": ForeignVoice("telugu_NSK_diphone", "tamil", 125),
}


def _read_table(text: str) -> dict[str, tuple[str, ...]]:
    """`phone=nearest` or `phone=first+second`, by spaces; nothing after = leaves the phone out."""
    rows = (row.split("=") for row in text.split())
    return {phone: tuple(filter(None, nearest.split("+"))) for phone, nearest in rows}


# American phones of festival ("radio") to those of the diphone sets; # is silence there
_SHARED = _read_table(
    "b=b d=d dx=d f=f g=g k=k l=l m=m n=n p=p r=r s=s t=t v=v z=z y=j dh=d th=t pau=# h#=# brth=# ih=i ah=a aw=a+u ow=o+u em=e+m en=e+n el=e+l"
)
_CZECH = _SHARED | _read_table(
    "aa=a: ae=e ao=o: ax=e axr=e+r ay=a+j ch=c~ eh=e er=e+r ey=e+j hh=h iy=i: jh=dz~ ng=n oy=o+j sh=s~ uh=u uw=u: w=v zh=z~"
)
_ITALIAN = _SHARED | _read_table(
    "aa=a ae=E ao=O ax=e axr=e+r ay=a+i ch=tS eh=E er=e+r ey=e+i hh= iy=i jh=dZ ng=n oy=O+i sh=S uh=u uw=u w=w zh=dZ"
)
_FINNISH = _SHARED | _read_table(
    "z=s aa=a: ae=@ ao=o: ax=7 axr=7+r ay=a+i ch=t+s eh=e er=7+r ey=e+i hh=h iy=i: jh=d+j ng=N oy=o+i sh=s uh=u uw=u: w=v zh=s"
)
# t and d as Indians say them, r for the coloured vowels; z is missing
_TAMIL = _SHARED | _read_table(
    "pau=pau h#=pau brth=pau d=D dx=D t=T z=s y=y dh=dh th=th ih=ih ah=a aw=aw ow=oo em=a+m en=a+n el=a+l aa=aa ae=eh ao=oh ax=a "
    "axr=a+r ay=ay ch=ch eh=eh er=a+r ey=ee hh=h iy=iy jh=j ng=n+g oy=oh+y sh=sh uh=uh uw=uw w=v zh=sh"
)
_PHONES = {
    "czech": _CZECH,
    "italian": _ITALIAN,
    "finnish": _FINNISH,
    "tamil": _TAMIL,
    "finnish of mv": _FINNISH | _read_table("ch=t+S sh=S zh=S jh=d+S th=T w=w"),
}
# Czech has no voiced obstruent at the end of a word, nor its diphones
_DEVOICED = {"czech": {"b": "p", "d": "t", "g": "k", "v": "f", "z": "s", "z~": "s~", "dz~": "c~"}}
_VOICELESS = ("#", "p", "t", "k", "f", "s", "s~", "c~")

_READ = """
(define (rename segment phones)
  (let ((end (item.feat segment "end")) (start (item.feat segment "segment_start")))
    (item.set_name segment (car phones))
    (if (cdr phones)
      (begin
        (item.set_feat segment "end" (+ start (* 0.55 (- end start))))
        (item.insert segment (list (cadr phones) (list (list "end" end))) 'after)))))
(define (nearest segment)
  (let ((phones (cdr (assoc_string (item.name segment) PHONES))))
    (if phones (rename segment phones) (item.delete segment))))
(define (devoice segment)
  (let ((other (assoc_string (item.name segment) DEVOICED)) (after (item.next segment)))
    (if (and other (or (not after) (member_string (item.name after) VOICELESS)))
      (item.set_name segment (cadr other)))))
(define (read-aloud text file)
  (let ((utt (eval (list 'Utterance 'Text text))))
    (voice_kal_diphone)
    (Parameter.set 'Duration_Stretch STRETCH)
    (set! int_lr_params (list (list 'target_f0_mean PITCH) (list 'target_f0_std (* 0.12 PITCH))
      '(model_f0_mean 170) '(model_f0_std 34)))
    (mapcar (lambda (module) (module utt)) (list Initialize Text Token_POS Token POS Phrasify Word Pauses Intonation PostLex
      Duration Int_Targets))
    (mapcar nearest (utt.relation.items utt 'Segment))
    (mapcar devoice (utt.relation.items utt 'Segment))
    (VOICE)
    (Wave_Synth utt)
    (utt.save.wave utt file 'riff)))
"""


def write_script(text: str, voice: ForeignVoice, pace: float, out: str) -> str:
    """What festival has to do so that `voice` reads `text` (without quotation marks) into the file `out`."""
    phones = _PHONES[voice.language]
    devoiced = {name: (other,) for name, other in _DEVOICED.get(voice.language, {}).items()}
    settings = [
        f"(set! PHONES '{_list(phones)})",
        f"(set! DEVOICED '{_list(devoiced)})",
        "(set! VOICELESS '({}))".format(" ".join(f'"{name}"' for name in _VOICELESS)),
        f"(set! STRETCH {1 / pace:.4f})",
        f"(set! PITCH {voice.pitch_hz})",
        f"(define (VOICE) (voice_{voice.festival}))",
    ]
    return "\n".join([*settings, _READ, f'(read-aloud "{text}" "{out}")\n'])


def _list(table: dict[str, tuple[str, ...]]) -> str:
    rows = (" ".join(f'"{name}"' for name in (phone, *nearest)) for phone, nearest in table.items())
    return "({})".format(" ".join(f"({row})" for row in rows))
