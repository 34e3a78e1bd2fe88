"""Reward models that score how helpful a completion is: a small linear one, or any Hugging Face sequence classifier.

The linear one is trained from preferences in seconds (Bradley-Terry on `text_features`); it stands in for a large reward
model in recipes and tests. A score is in the model's own units: the fitted rule weights are too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize

from vivavoce.errors import AssetError, CheckpointError, ConfigError, DataError
from vivavoce.files import digest_file, write_json, write_whole
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.graders.interface import Item
from vivavoce.rbr.graders.text_features import TextFeatures


class RewardModel(Protocol):
    """Scores completions."""

    identity: str

    def score(self, items: Sequence[Item]) -> list[Grade]:
        """A score per item, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Preference:
    """Of two completions of one prompt, which is preferred."""

    chosen: Item
    rejected: Item


class LinearRewardModel:
    """score = scale * weights . features; weights [F] float32."""

    def __init__(self, weights_F: np.ndarray) -> None:
        self.weights_F = weights_F.astype(np.float32)
        self._features = TextFeatures()
        import hashlib

        self.identity = f"linear:{hashlib.sha256(self.weights_F.tobytes()).hexdigest()[:12]}"

    def score(self, items: Sequence[Item]) -> list[Grade]:
        """Scores; an empty completion is scored like any other text."""
        if not items:
            return []
        return [Graded(float(value)) for value in self._features.make(items) @ self.weights_F.astype(np.float64)]


def train_linear(preferences: Sequence[Preference], *, ridge: float = 1e-3) -> LinearRewardModel:
    """Bradley-Terry: minimise mean log(1 + exp(-(score of chosen - score of rejected))) + ridge/2 |w|^2, by L-BFGS.

    Raises: DataError if there are no preferences.
    """
    if not preferences:
        raise DataError("no preferences to train a reward model on")
    features = TextFeatures()
    delta = features.make([p.chosen for p in preferences]) - features.make([p.rejected for p in preferences])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        lead = delta @ w
        value = float(np.logaddexp(0, -lead).mean() + 0.5 * ridge * (w @ w))
        pull = -1 / (1 + np.exp(lead)) / len(lead)
        return value, delta.T @ pull + ridge * w

    done = minimize(loss, np.zeros(features.size), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return LinearRewardModel(np.asarray(done.x))


def save_linear(folder: Path, model: LinearRewardModel) -> None:
    """Write `weights.safetensors` and `reward_model.json`."""
    with write_whole(folder / "weights.safetensors") as path:
        save_file({"weights": model.weights_F}, path)
    digest = digest_file(folder / "weights.safetensors")
    write_json(
        folder / "reward_model.json", {"format": 1, "text_features": TextFeatures().digest, "weights_sha256": digest}
    )


def open_reward_model(text: str | None) -> RewardModel | None:
    """`linear:FOLDER` or `hf:NAME_OR_FOLDER`; None for none.

    Raises: ConfigError for any other text, CheckpointError if the folder's files don't fit.
    """
    if text is None:
        return None
    kind, _, name = text.partition(":")
    if kind == "linear" and name:
        return _load_linear(Path(name))
    if kind == "hf" and name:
        return SequenceRewardModel(name)
    raise ConfigError(f"reward model {text!r}; need linear:FOLDER or hf:NAME_OR_FOLDER")


def _load_linear(folder: Path) -> LinearRewardModel:
    path = folder / "reward_model.json"
    if not path.is_file():
        raise CheckpointError(f"no reward model in {folder} (reward_model.json is missing)")
    document = json.loads(path.read_text())
    if document["text_features"] != TextFeatures().digest:
        raise CheckpointError(f"{path} was made with other text features ({document['text_features']}); train it again")
    if digest_file(folder / "weights.safetensors") != document["weights_sha256"]:
        raise CheckpointError(f"{folder / 'weights.safetensors'} is not the file that reward_model.json names")
    return LinearRewardModel(load_file(folder / "weights.safetensors")["weights"])


class SequenceRewardModel:
    """A Hugging Face sequence classifier with one output, over the tokenizer's chat template.

    Raises: AssetError if there is no such model.
    """

    def __init__(self, name: str, *, max_tokens: int = 2048) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(name)
            self.model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=1).eval()
        except (OSError, ValueError, KeyError) as error:
            raise AssetError(
                f"no sequence classifier {name!r} in a folder or on the Hub ({type(error).__name__}); name another"
            ) from error
        self.max_tokens = max_tokens
        self.identity = f"hf:{name}"

    def score(self, items: Sequence[Item]) -> list[Grade]:
        """Scores, one forward pass each; too long or not finite is ungraded."""
        return [self._score_one(item) for item in items]

    def _score_one(self, item: Item) -> Grade:
        import torch

        from vivavoce.content import assistant
        from vivavoce.text_models import render_chat

        messages = (*item.prompt, assistant(item.completion))
        text = render_chat(self.tokenizer, messages, add_generation_prompt=False)
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)
        if ids["input_ids"].shape[1] > self.max_tokens:
            return Ungraded("too_long", f"{ids['input_ids'].shape[1]} tokens; at most {self.max_tokens}")
        with torch.inference_mode():
            value = float(self.model(**ids).logits[0, 0])
        return Graded(value) if np.isfinite(value) else Ungraded("nan", "the reward model returned NaN")
