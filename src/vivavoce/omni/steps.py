"""A row of steps: what the network reads, position by position, and what it should say there.

Token steps take no time and hold one id, one picture patch or one film patch; clock steps are 80 ms of live time.
Clock data lie in arrays of their own, one row per clock step in order; `kind` says where they stand in the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vivavoce.omni.configuration import (
    FRAME_PATCH_PIXELS,
    IMAGE_PIXELS,
    MEL_BINS,
    MEL_FRAMES_PER_STEP,
    NUM_FRAME_PATCHES,
    NUM_PATCHES,
    PATCH_PIXELS,
)

TOKEN, PATCH, FRAME_PATCH, CLOCK = 0, 1, 2, 3

STAY, SPEAK, STOP = 0, 1, 2
"""The turn stream: go on as before, `<speak>`, `<stop>`. On a stream of its own, so that the first word and the first
codes come on the very step that takes the turn (80 ms sooner than a `<speak>` in the text stream)."""

NO_TARGET = -100


@dataclass(frozen=True, slots=True)
class ClockStep:
    """One clock step and what the model should do on it.

    mel: [8, 80] log-mel of the user, or None while muted. turn, text, heard: the three decisions, ids; codes: [K] or
    None while silent. Weights scale the losses; 0 means not to be learned.
    """

    mel: np.ndarray | None
    turn: int = STAY
    text: int = 0
    heard: int = 0
    codes: np.ndarray | None = None
    turn_weight: float = 1.0
    text_weight: float = 1.0
    code_weight: float = 1.0


@dataclass
class StepRow:
    """A sequence under construction; `finish` freezes it into arrays."""

    num_books: int
    silent_code: int
    kinds: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    target_weights: list[float] = field(default_factory=list)
    patches: list[np.ndarray] = field(default_factory=list)
    frame_patches: list[np.ndarray] = field(default_factory=list)
    clocks: list[ClockStep] = field(default_factory=list)
    said_from: list[int] = field(default_factory=list)
    noted: list[int] = field(default_factory=list)

    def token(self, idx: int, *, weight: float = 0.0) -> None:
        """Append a token step. weight > 0: the model should have predicted it at the position before."""
        if weight > 0 and self.kinds and self.kinds[-1] != CLOCK:
            self.targets[-1], self.target_weights[-1] = idx, weight
        self._append(TOKEN, idx)

    def tokens(self, ids: list[int], *, weight: float = 0.0) -> None:
        """Append several token steps."""
        for idx in ids:
            self.token(idx, weight=weight)

    def image(self, patches: np.ndarray) -> None:
        """Append a picture's patches [64, 192] (see `cut_patches`)."""
        self.patches.append(patches)
        for idx in range(NUM_PATCHES):
            self._append(PATCH, idx)

    def frame(self, patches: np.ndarray) -> None:
        """Append a film frame's patches [16, 768]."""
        self.frame_patches.append(patches)
        for idx in range(NUM_FRAME_PATCHES):
            self._append(FRAME_PATCH, idx)

    def clock(self, step: ClockStep) -> None:
        """Append a clock step."""
        self.clocks.append(step)
        self.said_from.append(len(self))
        self._append(CLOCK, 0)

    def note(self, ids: list[int]) -> None:
        """Append the token steps of a note (`layout.RowWriter.write_note`)."""
        self.noted += range(len(self), len(self) + len(ids))
        self.tokens(ids)

    def say_from_here(self) -> None:
        """The last clock step's words and codes are said from the step appended last."""
        self.said_from[-1] = len(self) - 1

    def _append(self, kind: int, idx: int) -> None:
        self.kinds.append(kind)
        self.ids.append(idx)
        self.targets.append(NO_TARGET)
        self.target_weights.append(0.0)

    def __len__(self) -> int:
        return len(self.kinds)

    def finish(self) -> Steps:
        """The finished row."""
        quiet = np.full(self.num_books, self.silent_code)
        silence = np.zeros((MEL_FRAMES_PER_STEP, MEL_BINS), np.float32)
        clocks = self.clocks
        codes = np.array([quiet if step.codes is None else step.codes for step in clocks], np.int64)
        codes = codes.reshape(len(clocks), self.num_books)
        heard = np.array([step.heard for step in clocks], np.int64)
        return Steps(
            kinds=np.array(self.kinds, np.int64),
            ids=np.array(self.ids, np.int64),
            targets=np.array(self.targets, np.int64),
            target_weights=np.array(self.target_weights, np.float32),
            patches=_stack(self.patches, (0, NUM_PATCHES, PATCH_PIXELS**2 * 3)),
            frame_patches=_stack(self.frame_patches, (0, NUM_FRAME_PATCHES, FRAME_PATCH_PIXELS**2 * 3)),
            said_from=np.array(self.said_from, np.int64),
            noted=np.array(self.noted, np.int64),
            mel=_stack(
                [silence if step.mel is None else step.mel for step in clocks], (0, MEL_FRAMES_PER_STEP, MEL_BINS)
            ),
            is_muted=np.array([step.mel is None for step in clocks], bool),
            turn=np.array([step.turn for step in clocks], np.int64),
            text=np.array([step.text for step in clocks], np.int64),
            heard=heard,
            codes=codes,
            codes_read=codes,
            turn_weights=np.array([step.turn_weight for step in clocks], np.float32),
            text_weights=np.array([step.text_weight for step in clocks], np.float32),
            code_weights=np.array([0.0 if step.codes is None else step.code_weight for step in clocks], np.float32),
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """A finished row of T positions, N of them clock steps.

    kinds, ids, targets [T] int64, target_weights [T] float32: `targets[t]` is what position t should predict.
    patches [P, 64, 192], frame_patches [F, 16, 768] float32 in [-1, 1]. mel [N, 8, 80] float32, is_muted [N]. said_from [N] int64: the
    position that a clock step's words and codes are predicted at, its own unless a note follows it; noted: positions of
    notes.
    turn, text [N] int64 and codes [N, K] int64: what each clock step should give; the next one reads turn and text, and codes_read,
    which are the same unless training adds slips (`training/slips.py`). heard [N] int64: the transcript, which is the scribe's
    and no more than read, by the step itself.
    """

    kinds: np.ndarray
    ids: np.ndarray
    targets: np.ndarray
    target_weights: np.ndarray
    patches: np.ndarray
    frame_patches: np.ndarray
    said_from: np.ndarray
    noted: np.ndarray
    mel: np.ndarray
    is_muted: np.ndarray
    turn: np.ndarray
    text: np.ndarray
    heard: np.ndarray
    codes: np.ndarray
    codes_read: np.ndarray
    turn_weights: np.ndarray
    text_weights: np.ndarray
    code_weights: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)


def cut_patches(pixels: np.ndarray, patch_pixels: int) -> np.ndarray:
    """Square patches of a picture, row by row.

    Shapes: pixels [64, 64, 3] uint8; result [(64 / p)^2, p * p * 3] float32 in [-1, 1].
    """
    side = IMAGE_PIXELS // patch_pixels
    scaled = pixels.astype(np.float32) / 127.5 - 1
    blocks = scaled.reshape(side, patch_pixels, side, patch_pixels, 3).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(side * side, -1)


def _stack(arrays: list[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays).astype(np.float32) if arrays else np.zeros(empty, np.float32)
