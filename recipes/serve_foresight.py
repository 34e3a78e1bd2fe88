"""What trying clock steps before their sound is complete costs in false starts, and what it saves; and the same for the bias on
the model's wish to speak, which a checkpoint's `speak_bias` is chosen from.

Command:   python recipes/serve_foresight.py [--split test --talks 30 --seed 1 --model checkpoints/nano --biases 0 0.75 1.5]
Hardware:  any; one core; flite, espeak-ng and festival have to be installed, since the talks are rendered
Time:      two minutes a bias (30 talks of each kind)
Result:    for plain talks, talks with a pause and with a hesitation, each heard twice by the session that the server runs,
           on a clock of its own: turns taken before the user's end, and median and 95th percentile of the user's sound
           heard after it.
           docs/serve.md, "How it works"; exact for a checkpoint, a seed and a processor
"""

import base64
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tyro

from vivavoce.content import Audio
from vivavoce.data.example import Example, Sound, Speech, UserSpan
from vivavoce.data.live import make_live
from vivavoce.data.sounds import render_sound
from vivavoce.data.voices.rendering import Renderings
from vivavoce.media import resample
from vivavoce.omni.engine import load_engine
from vivavoce.omni.engine_protocol import DuplexEngine
from vivavoce.serve.bench.listening import find_loud
from vivavoce.serve.client_events import apply_event, prepare
from vivavoce.serve.guards.session_guards import GuardSet, SessionGuards
from vivavoce.serve.limits import Limits
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.settings import Settings
from vivavoce.serve.slot_steps import SlotSteps
from vivavoce.serve.sound import encode_sound
from vivavoce.serve.vad import load_silero
from vivavoce.stats import estimate_proportion, estimate_quantile

RATE_HZ = 24_000
CHUNK = RATE_HZ // 50
PATIENCE_S = 3


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is heard, and by which model."""

    model: str = "checkpoints/nano"
    split: str = "test"
    talks: int = 30
    seed: int = 1
    biases: tuple[float, ...] = ()
    """none: the checkpoint's own"""


def main(flags: Flags) -> None:
    """Print a line for each kind of talk and each way."""
    engine, voices, make_vad = load_engine(flags.model, 1), Renderings(None), load_silero()
    own_bias = engine.speak_bias
    pooled: dict[tuple[float, str], list[float]] = {}
    for kind in ("turns", "pause", "hesitation"):
        talks = [
            make_live(flags.split, np.random.default_rng((flags.seed, idx, 74)), f"f-{idx}", kind)  # type: ignore[arg-type]
            for idx in range(flags.talks)
        ]
        sounds = [record(talk, voices) for talk in talks]
        for bias, foresees in itertools.product(flags.biases or (own_bias,), (False, True)):
            engine.speak_bias = bias
            found = [hear(engine, make_vad, sound, foresees=foresees) for sound in sounds]
            waits = [wait * 1000 for wait in found if wait is not None and wait >= 0]
            false = estimate_proportion(sum(wait is not None and wait < 0 for wait in found), len(found))
            way = "foreseen" if foresees else "complete"
            pooled.setdefault((bias, way), []).extend(waits)
            print(f"{kind:10} bias {bias:+} steps {way}: false starts {false}; {_describe(waits)}", flush=True)
    for (bias, way), waits in pooled.items():
        print(f"all        bias {bias:+} steps {way}: {_describe(waits)}")


def _describe(waits_ms: list[float]) -> str:
    p50, p95 = (estimate_quantile(waits_ms, share) for share in (0.5, 0.95))
    return f"heard p50 ms {p50}, p95 {p95}"


def record(talk: Example, voices: Renderings) -> np.ndarray:
    """The user's sounds up to the model's first answer, [S] float32 at 24 kHz, the last one voiced to its end."""
    assert talk.timeline is not None
    pieces = []
    for event in itertools.takewhile(lambda event: isinstance(event, UserSpan), talk.timeline.events):
        assert isinstance(event, UserSpan)
        pieces += [np.zeros(int(max(event.gap_s, 0.0) * RATE_HZ), np.float32), _render(event.what, voices)]
    return np.concatenate(pieces)


def _render(what: Speech | Sound | Audio, voices: Renderings) -> np.ndarray:
    heard = what if isinstance(what, Audio) else render_sound(what) if isinstance(what, Sound) else voices.render(what)
    samples = resample(heard, RATE_HZ).samples
    loud = np.flatnonzero(find_loud(samples))
    return samples[loud[0] * 240 : (loud[-1] + 1) * 240] if len(loud) else samples


def hear(engine: DuplexEngine, make_vad, sound: np.ndarray, *, foresees: bool) -> float | None:
    """Seconds of sound from the user's end to the turn that the model took: negative too soon, None not at all."""
    steps, numbers, limits = SlotSteps(engine), itertools.count(), Limits()
    with ThreadPoolExecutor(1) as pool:
        session = RealtimeSession(
            "sess",
            Settings(model="m", voices=engine.voices),
            limits=limits,
            make_vad=make_vad,
            guards=SessionGuards(GuardSet(), pool),
            new_id=lambda kind: f"{kind}_{next(numbers)}",
            now_s=0.0,
        )
        steps.open(0, session.settings.instructions)
        wanted = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        apply_event(session, prepare(json.dumps({"type": "session.update", "session": wanted}), limits), 0.0)
        try:
            for first in range(0, len(sound) + PATIENCE_S * RATE_HZ, CHUNK):
                piece = sound[first : first + CHUNK]
                data = encode_sound(np.pad(piece, (0, CHUNK - len(piece))), "audio/pcm")
                now_s = (first + CHUNK) / RATE_HZ
                event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}
                apply_event(session, prepare(json.dumps(event), limits), now_s)
                step(session, steps, now_s, foresees=foresees)
                if any(event["type"] == "response.created" for event in session.take_events()):
                    return now_s - len(sound) / RATE_HZ
            return None
        finally:
            steps.close(0)


def step(session: RealtimeSession, steps: SlotSteps, now_s: float, *, foresees: bool) -> None:
    """The clock steps that are due, and one more if it can be foreseen, as the server's worker makes them."""
    while (due_s := session.due_s(now_s)) is not None and due_s <= now_s:
        for output in steps.step({0: session}, now_s).values():
            session.absorb(output, now_s)
    given = session.foresee() if foresees else None
    if given is not None:
        for output in steps.try_early({0: given}).values():
            session.take_early(given, output, now_s)


if __name__ == "__main__":
    main(tyro.cli(Flags))
