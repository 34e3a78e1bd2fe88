"""A causal model as the joint tasks need it: sampling completions, probabilities of yes, losses of targets.

`Respondent` is what the rest of the room asks of a model, so that tests script it and endpoints can stand in.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from vivavoce.critique.calibration import Calibration
from vivavoce.critique.tasks.fitting import Fitted, Keep, fit
from vivavoce.critique.tasks.forms import Rendered, load_templates, parse_text
from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.files import write_json
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.text_models import TextModel, load_text_model

CALIBRATION_FILE = "calibration.json"


class Sample(NamedTuple):
    """One completion; `is_cut` if it hit the bound before it ended; tokens generated, for compute accounting.

    `failure` says why there is none, when a model behind an endpoint did not answer.
    """

    text: str
    is_cut: bool
    num_tokens: int
    failure: str = ""

    def read(self) -> str | Ungraded:
        """The text as `parse_text` gives it; Ungraded `endpoint` if the call failed."""
        return Ungraded("endpoint", self.failure) if self.failure else parse_text(self.text, is_cut=self.is_cut)


class Respondent(Protocol):
    """A model that answers the joint tasks."""

    def sample(
        self, prompts: Sequence[Rendered], n: int, *, max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[Sample]]:
        """`n` completions of each prompt; temperature 0 is greedy."""
        ...

    def judge(self, task: str, prompts: Sequence[Rendered]) -> list[Grade]:
        """The calibrated P(yes) of a yes/no task for each prompt."""
        ...


class TokenLoss(NamedTuple):
    """Loss of one target: nats, and its tokens and characters."""

    nats: float
    num_tokens: int
    num_chars: int


class LanguageModel:
    """A Hugging Face causal model as a `Respondent`. A prompt too long for the context loses passage, nothing else."""

    def __init__(
        self,
        text_model: TextModel,
        *,
        calibrations: Mapping[str, Calibration] | None = None,
        batch_tokens: int = 16_384,
        keep: Keep = "relevant",
    ) -> None:
        self.model, self.tokenizer = text_model
        self.calibrations = dict(calibrations or {})
        self.batch_tokens = batch_tokens
        self.keep: Keep = keep
        self.context_tokens = int(getattr(self.model.config, "max_position_embeddings", 2048))
        self.num_generated_tokens = 0

    @classmethod
    def load(cls, name_or_path: str, *, device: str = "cpu", download: bool = True) -> LanguageModel:
        """A model by name or folder, with the calibration that `viva critique train` wrote beside it, if any."""
        path = Path(name_or_path)
        calibrations: dict[str, Calibration] = {}
        if (path / CALIBRATION_FILE).is_file():
            try:
                raw = json.loads((path / CALIBRATION_FILE).read_text())
                calibrations = {task: Calibration(**value) for task, value in raw.items()}
            except (json.JSONDecodeError, TypeError, AttributeError) as error:
                raise CheckpointError(
                    f"{path / CALIBRATION_FILE} is broken: {error}; train again or delete it"
                ) from error
        return cls(load_text_model(name_or_path, device=device, download=download), calibrations=calibrations)

    def save(self, folder: Path) -> None:
        """Weights as safetensors, tokenizer, and calibrations."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(folder / CALIBRATION_FILE, {task: asdict(value) for task, value in self.calibrations.items()})

    def encode(self, text: str) -> list[int]:
        """Token ids, nothing added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def fit(self, rendered: Rendered, *, reserve_tokens: int = 0) -> Fitted:
        """The prompt, and its target if it has one, within the context. Raises: DataError if it cannot be."""
        return fit(
            rendered, self.encode, max_tokens=self.context_tokens, reserve_tokens=reserve_tokens,
            end_id=int(self.tokenizer.eos_token_id), keep=self.keep,  # type: ignore[arg-type]
        )  # fmt: skip

    @torch.inference_mode()
    def sample(
        self, prompts: Sequence[Rendered], n: int, *, max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[Sample]]:
        """`n` completions of each prompt, seeded; a completion ends at the end token or at the next heading."""
        ids = [self.fit(prompt, reserve_tokens=max_new_tokens).prompt_ids for prompt in prompts]
        found: list[list[Sample]] = [[] for _ in prompts]
        widest = max((len(row) for row in ids), default=0) + max_new_tokens
        at_once = max(1, min(n, self.batch_tokens // max(1, widest)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for begin in range(0, n, at_once):
                copies = min(at_once, n - begin)
                for batch in self._batches(list(enumerate(ids)), extra_tokens=max_new_tokens, copies=copies):
                    made = self._generate([row for _, row in batch], copies, max_new_tokens, temperature)
                    for number, sample in enumerate(made):
                        found[batch[number // copies][0]].append(sample)
        return found

    def _batches(
        self, rows: list[tuple[int, list[int]]], extra_tokens: int, copies: int = 1
    ) -> list[list[tuple[int, list[int]]]]:
        ordered = sorted(rows, key=lambda row: len(row[1]))
        batches: list[list[tuple[int, list[int]]]] = []
        for row in ordered:
            width = (len(row[1]) + extra_tokens) * copies
            if not batches or (len(batches[-1]) + 1) * width > self.batch_tokens:
                batches.append([])
            batches[-1].append(row)
        return batches

    def _generate(self, rows: list[list[int]], copies: int, max_new_tokens: int, temperature: float) -> list[Sample]:
        """`copies` completions of each row, those of one row together."""
        end, pad = int(self.tokenizer.eos_token_id), int(self.tokenizer.pad_token_id)  # type: ignore[arg-type]
        width = max(len(row) for row in rows)
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=self.model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.model.device)
        choice: dict[str, Any] = (
            {"do_sample": False} if temperature == 0 else {"do_sample": True, "temperature": temperature}
        )
        if copies > 1 and (cache := self._read_prompts(ids, mask, copies)) is not None:
            choice["past_key_values"] = cache
        made = self.model.generate(  # type: ignore[operator]
            input_ids=ids.repeat_interleave(copies, 0), attention_mask=mask.repeat_interleave(copies, 0),
            max_new_tokens=max_new_tokens, pad_token_id=pad, eos_token_id=end, top_k=0, top_p=1.0, **choice,
        )  # fmt: skip
        samples = list[Sample]()
        for row in made[:, width:].tolist():
            is_cut = end not in row
            kept = row if is_cut else row[: row.index(end)]
            text = str(self.tokenizer.decode(kept, skip_special_tokens=True))
            self.num_generated_tokens += len(kept)
            samples.append(Sample(text, is_cut and "\n### " not in text, len(kept)))
        return samples

    def _read_prompts(self, ids: torch.Tensor, mask: torch.Tensor, copies: int) -> Any:
        """The cache of all but the last token of each prompt [B, T], read once for all `copies` of it [B x copies].

        None where the model keeps no such cache.
        """
        if ids.shape[1] < 2:
            return None
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        read = self.model.base_model(
            input_ids=ids[:, :-1], attention_mask=mask[:, :-1], position_ids=places[:, :-1], use_cache=True
        )
        cache = getattr(read, "past_key_values", None)
        if not hasattr(cache, "batch_repeat_interleave"):
            return None
        cache.batch_repeat_interleave(copies)  # type: ignore[union-attr]
        return cache

    def judge(self, task: str, prompts: Sequence[Rendered]) -> list[Grade]:
        """Calibrated P(yes); Ungraded `no_yes_no` where the two labels have less than 1% of the probability, `too_long`
        where a prompt does not fit without any passage."""
        calibration = self.calibrations.get(task, Calibration())
        grades: list[Grade] = [Ungraded("too_long")] * len(prompts)
        rows: dict[int, list[int]] = {}
        for idx, prompt in enumerate(prompts):
            try:
                rows[idx] = self.fit(prompt, reserve_tokens=1).prompt_ids
            except DataError as error:
                grades[idx] = Ungraded("too_long", str(error))
        for idx, (log_odds, mass) in zip(rows, self._measure_labels(task, list(rows.values()))):
            if not math.isfinite(log_odds):
                grades[idx] = Ungraded("nan")
            elif mass < 0.01:  # chosen: below it the comparison of the two labels is one of rounding noise
                grades[idx] = Ungraded("no_yes_no", f"yes and no have {mass:.2g} of the probability")
            else:
                grades[idx] = Graded(calibration.apply(log_odds), {"log_odds": log_odds, "missing_mass": 1 - mass})
        return grades

    def measure_labels(self, task: str, prompts: Sequence[Rendered]) -> list[tuple[float, float]]:
        """(log odds of yes against no, probability of both together) at the first completion token.

        Raises: DataError if a prompt does not fit without any passage.
        """
        return self._measure_labels(task, [self.fit(prompt, reserve_tokens=1).prompt_ids for prompt in prompts])

    @torch.inference_mode()
    def _measure_labels(self, task: str, ids: list[list[int]]) -> list[tuple[float, float]]:
        labels = load_templates()[1][task].labels
        if labels is None:
            raise ConfigError(f"task {task} has no yes/no labels")
        yes_id, no_id = (self.encode(label)[0] for label in labels)
        if yes_id == no_id:
            raise ConfigError(
                f"labels {labels} begin with one token in this tokenizer; their odds cannot be told apart"
            )
        found: list[tuple[float, float]] = [(math.nan, 0.0)] * len(ids)
        for batch in self._batches(list(enumerate(ids)), extra_tokens=0):
            hidden = self._forward([row for _, row in batch])
            last = torch.tensor([len(row) - 1 for _, row in batch], device=hidden.device)
            logits = hidden[torch.arange(len(batch), device=hidden.device), last].float()
            log_probs = logits.log_softmax(-1)
            yes, no = log_probs[:, yes_id], log_probs[:, no_id]
            for (idx, _), odds, mass in zip(batch, (yes - no).tolist(), (yes.exp() + no.exp()).tolist()):
                found[idx] = (odds, mass)
        return found

    def _forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Logits [B, T, V] of right-padded rows; causal, so padding changes nothing before it."""
        width, pad = max(len(row) for row in rows), int(self.tokenizer.pad_token_id)  # type: ignore[arg-type]
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=self.model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.model.device)
        return self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits

    @torch.inference_mode()
    def measure_losses(self, prompts: Sequence[Rendered]) -> list[TokenLoss | Ungraded]:
        """Loss of each target given its prompt, end token included; Ungraded `too_long` where it does not fit."""
        found: list[TokenLoss | Ungraded] = [Ungraded("too_long")] * len(prompts)
        fits: dict[int, Fitted] = {}
        for idx, prompt in enumerate(prompts):
            try:
                fits[idx] = self.fit(prompt)
            except DataError:
                continue
        rows = [(idx, fitted.prompt_ids + fitted.completion_ids) for idx, fitted in fits.items()]
        for batch in self._batches(rows, extra_tokens=0):
            log_probs = self._forward([row for _, row in batch]).float().log_softmax(-1)
            for number, (idx, row) in enumerate(batch):
                begin = len(fits[idx].prompt_ids)
                targets = torch.tensor(row[begin:], device=log_probs.device)
                picked = log_probs[number, begin - 1 : len(row) - 1].gather(1, targets[:, None])
                found[idx] = TokenLoss(-float(picked.sum()), len(row) - begin, len(prompts[idx].completion or ""))
        return found
