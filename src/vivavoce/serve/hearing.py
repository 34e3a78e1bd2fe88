"""What a session hears: appended sound cut into clock steps, and the stretch of it that becomes the next user item.

Also the running transcript of the user, which the model writes some steps late. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from vivavoce.omni.engine_protocol import FRAME_MS, USER_FRAME_SAMPLES, USER_RATE_HZ
from vivavoce.serve.sound import RATE_HZ, Resampler, WireFormat

TRANSCRIPT_LAG_STEPS = 12
"""Clock steps after the end of a turn in which its transcript still grows: nano's last words are decided up to seven steps late
(`omni.engine.answering.HEARD_OUT_STEPS`), and written one a step."""
_KEPT_SILENT_FRAMES = 15_000 // FRAME_MS
_KEPT_FRAMES = 120_000 // FRAME_MS
TAIL_SAMPLES = 320
"""The last 20 ms, by which it is judged whether silence has begun. chosen: what clients send at once."""


class Hearing:
    """The input audio buffer. Times are milliseconds of all sound heard in the session."""

    def __init__(self, wire_format: WireFormat) -> None:
        self._format: WireFormat = wire_format
        self._resampler = Resampler(RATE_HZ[wire_format], USER_RATE_HZ)
        self._rest = np.zeros(0, np.float32)
        self._recent = np.zeros(0, np.float32)
        """The end of what was heard."""
        self._waiting: deque[np.ndarray] = deque()
        self._arrivals: deque[float] = deque()
        self._kept: deque[np.ndarray] = deque()
        """Frames heard since the last commit or clear, the newest last."""
        self._heard_samples = 0
        self.committed_waiting = 0
        """Frames at the front of the queue that were committed before the model heard them."""
        self.has_sound = False
        """Whether anything was appended since the last commit or clear."""

    def set_format(self, wire_format: WireFormat) -> None:
        """Change the wire format of what is appended from now on."""
        if wire_format != self._format:
            self._format = wire_format
            self._resampler = Resampler(RATE_HZ[wire_format], USER_RATE_HZ)

    @property
    def heard_ms(self) -> int:
        """All sound heard so far."""
        return self._heard_samples * 1000 // USER_RATE_HZ

    @property
    def waiting_s(self) -> float:
        """Sound that waits to be heard."""
        return (len(self._waiting) * USER_FRAME_SAMPLES + len(self._rest)) / USER_RATE_HZ

    @property
    def has_frame(self) -> bool:
        """Whether a whole clock step of sound is there."""
        return bool(self._waiting)

    @property
    def next_arrival_s(self) -> float:
        """When the frame that is next to be heard was complete."""
        return self._arrivals[0] if self._arrivals else 0.0

    def append(self, samples: np.ndarray, now_s: float = 0.0) -> None:
        """More sound, [S] float32 at the wire format's rate."""
        self.has_sound = self.has_sound or len(samples) > 0
        self._rest = np.concatenate([self._rest, self._resampler.feed(samples)])
        count = len(self._rest) // USER_FRAME_SAMPLES
        for idx in range(count):
            self._waiting.append(self._rest[idx * USER_FRAME_SAMPLES : (idx + 1) * USER_FRAME_SAMPLES])
            self._arrivals.append(now_s)
        self._rest = self._rest[count * USER_FRAME_SAMPLES :]

    def pop(self) -> np.ndarray:
        """The next frame, [1280] float32 at 16 kHz."""
        frame = self._waiting.popleft()
        self._arrivals.popleft()
        if self.committed_waiting:
            self.committed_waiting -= 1
        else:
            self._kept.append(frame)
        self._heard_samples += len(frame)
        self._recent = frame[-TAIL_SAMPLES:]
        return frame

    @property
    def tail(self) -> np.ndarray | None:
        """The last 20 ms of sound, where nothing of it waits to be heard but part of a clock step, or not even that."""
        tail = np.concatenate([self._recent, self._rest])[-TAIL_SAMPLES:]
        return tail if len(tail) == TAIL_SAMPLES and not self._waiting else None

    def foresee(self) -> np.ndarray:
        """The next clock step, [1280], as it will be if it goes on like the last 20 ms."""
        assert self.tail is not None
        missing = USER_FRAME_SAMPLES - len(self._rest)
        return np.concatenate([self._rest, np.pad(self.tail, (0, missing), "symmetric")[TAIL_SAMPLES:]])

    def pop_begun(self) -> np.ndarray:
        """Count the next clock step as heard; what follows begins another. Returns its sound so far, if there is any."""
        sound, self._rest = self._rest, np.zeros(0, np.float32)
        self._recent = np.concatenate([self._recent, sound])[-TAIL_SAMPLES:]
        self._kept.append(sound)
        self._heard_samples += len(sound)
        return sound

    def forget_silence(self) -> None:
        """Bound what is kept of a stretch without speech."""
        while len(self._kept) > _KEPT_SILENT_FRAMES:
            self._kept.popleft()

    def bound(self) -> None:
        """Bound what is kept in any case."""
        while len(self._kept) > _KEPT_FRAMES:
            self._kept.popleft()

    @property
    def kept_from_ms(self) -> int:
        """The earliest moment that is still kept."""
        return (self._heard_samples - sum(map(len, self._kept))) * 1000 // USER_RATE_HZ

    def commit(self, from_ms: int) -> np.ndarray:
        """Sound heard since `from_ms` and not yet committed, [S] at 16 kHz; what is kept is emptied."""
        first = max(0, (from_ms - self.kept_from_ms) // FRAME_MS)
        frames = list(self._kept)[first:]
        self._kept.clear()
        self.has_sound = bool(self._waiting) or len(self._rest) > 0
        return np.concatenate(frames) if frames else np.zeros(0, np.float32)

    def commit_all(self) -> np.ndarray:
        """Everything appended since the last commit, heard or waiting; a last part of a frame is filled with silence."""
        if len(self._rest):
            self._waiting.append(np.pad(self._rest, (0, USER_FRAME_SAMPLES - len(self._rest))))
            self._arrivals.append(self._arrivals[-1] if self._arrivals else 0.0)
            self._rest = np.zeros(0, np.float32)
        new = list(self._waiting)[self.committed_waiting :]
        frames = [*self._kept, *new]
        self._kept.clear()
        self.committed_waiting = len(self._waiting)
        self.has_sound = False
        return np.concatenate(frames) if frames else np.zeros(0, np.float32)

    def clear(self) -> None:
        """Forget what was appended and not committed."""
        while len(self._waiting) > self.committed_waiting:
            self._waiting.pop()
            self._arrivals.pop()
        self._rest = np.zeros(0, np.float32)
        self._kept.clear()
        self.has_sound = False

    def unhear(self) -> None:
        """Put what was heard and not committed back in front of the queue."""
        self._waiting.extendleft(reversed(self._kept))
        self._arrivals.extendleft([0.0] * len(self._kept))
        self._heard_samples -= sum(map(len, self._kept))
        self._kept.clear()


@dataclass(frozen=True, slots=True)
class _Running:
    """A transcript so far. settled: of utterances that are over, as they are known in the end; loose: what was told since."""

    settled: str = ""
    loose: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.settled} {self.loose.lstrip()}".rstrip() if self.settled else self.loose

    def settle(self, text: str) -> _Running:
        """What was loose is known to be `text`."""
        return _Running(f"{self.settled} {text}".strip())


class Transcripts:
    """Which user item each piece of the running transcript belongs to."""

    def __init__(self) -> None:
        self.open_item_id: str | None = None
        """The committed item whose transcript is still growing."""
        self._early, self._open = _Running(), _Running()
        self._is_cut = False
        """The utterance that goes on began in a turn that is closed: what it is in the end belongs to two."""
        self._steps_left = 0

    @property
    def early_text(self) -> str:
        """Text of the turn that is not over yet."""
        return self._early.text

    @property
    def is_pending(self) -> bool:
        """Whether more clock steps are needed to finish a transcript."""
        return self.open_item_id is not None

    def commit(self, item_id: str) -> str:
        """A turn ended and is now `item_id`; return its text so far."""
        self.open_item_id, self._open, self._early = item_id, self._early, _Running()
        self._steps_left = TRANSCRIPT_LAG_STEPS
        return self._open.text

    def add(self, delta: str) -> str | None:
        """One clock step's text; return the id of the item it belongs to, None while that turn goes on."""
        if self.open_item_id is None:
            self._early = replace(self._early, loose=self._early.loose + delta)
            return None
        self._open = replace(self._open, loose=self._open.loose + delta)
        return self.open_item_id

    def settle(self, text: str) -> None:
        """What was added since the last such is known to be `text`; if that began in a turn that is closed, what was told stays."""
        running = self._early if self.open_item_id is None else self._open
        running = running.settle(running.loose.strip() if self._is_cut else text)
        self._is_cut = False
        if self.open_item_id is None:
            self._early = running
        else:
            self._open = running

    def tick(self) -> bool:
        """Count one clock step; True if the open transcript is complete now."""
        if self.open_item_id is None:
            return False
        self._steps_left -= 1
        return self._steps_left <= 0

    def close(self) -> tuple[str, str]:
        """Id and text of the transcript that is complete."""
        assert self.open_item_id is not None
        item_id, self.open_item_id = self.open_item_id, None
        self._is_cut = self._is_cut or bool(self._open.loose)
        return item_id, self._open.text.strip()

    def forget_early(self) -> None:
        """The turn that is going on was cleared."""
        self._is_cut = self._is_cut or bool(self._early.loose)
        self._early = _Running()
