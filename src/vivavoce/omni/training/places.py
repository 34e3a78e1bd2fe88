"""How a training command begins: logging and threads, prepared sounds, the vocabulary, weights to go on from, digests."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open

from vivavoce.data.pools import iterate_text_corpus
from vivavoce.errors import ConfigError
from vivavoce.files import digest_file, digest_json
from vivavoce.omni.checkpoint import WEIGHTS_NAME, find_codec_folder, find_images_folder, load_checkpoint
from vivavoce.omni.codec.storage import load_codec
from vivavoce.omni.configuration import OmniConfig
from vivavoce.omni.images.network import WEIGHTS_NAME as IMAGE_WEIGHTS
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.scribe import Scribe
from vivavoce.omni.second_pass import SecondPass
from vivavoce.omni.stem import Stem
from vivavoce.omni.training.ear import Ear
from vivavoce.omni.training.eye import Namer
from vivavoce.omni.training.features import digest_codes, digest_weights, prepare_mels
from vivavoce.omni.training.language import LanguageModelling
from vivavoce.omni.training.loop import LoopConfig, load_weights
from vivavoce.omni.training.second_pass import Listener
from vivavoce.omni.vocabulary import Vocabulary, load_vocabulary, save_vocabulary, train_vocabulary


def set_up(threads: int) -> None:
    """Progress to the terminal, and so many CPU threads; 0 leaves PyTorch's choice."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", force=True)
    if threads:
        torch.set_num_threads(threads)


def make_sense_loop(steps: int, seed: int) -> LoopConfig:
    """How an ear or an eye learns alone: minutes, so it is saved and measured often."""
    return LoopConfig(
        steps=steps, warmup_steps=50, decay_share=0.4, save_every_steps=100, sample_every_steps=100, seed=seed
    )


def check_renderings(data: Path) -> None:
    """Before a run directory is made.

    Raises: ConfigError if nothing is rendered in `data`.
    """
    if not list(data.glob("*/part-*.jsonl")):
        raise ConfigError(f"{data} holds no renderings; make some: viva data render --out {data / 'user'}")


def prepare_user_mels(data: Path) -> list[Path]:
    """Folders of mels of data/user*, made once.

    Raises: ConfigError if nothing is rendered.
    """
    check_renderings(data)
    mels = []
    for folder in sorted(path for path in data.glob("user*") if list(path.glob("part-*.jsonl"))):
        mels.append(data / "clean-mels" / folder.name)
        for done, total in prepare_mels(folder, mels[-1]):
            logging.debug("mels of %s: part %d of %d", folder.name, done, total)
    return mels


def is_held_out(folder: Path) -> bool:
    """Whether recordings are there to be measured on and never learned from: their folder's name ends in -test."""
    return folder.name.endswith("-test")


def find_vocabulary(
    run: Path, places: Iterable[Path | None], shape: OmniConfig, named: Path | None = None
) -> Vocabulary:
    """That of the first place that has one: the run itself, `places`, the folder that was named for it. Without a name, else a new one,
    learned from the curriculum. Kept in `run`.

    Raises: ConfigError if the named folder has none.
    """
    if named is not None and not (named / "tokenizer.json").exists():
        raise ConfigError(f"{named} has no tokenizer.json; name a folder of viva train text, a run or a checkpoint")
    load = partial(load_vocabulary, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    for place in (run, *places, named):
        if place is not None and (place / "tokenizer.json").exists():
            vocabulary = load(place)
            break
    else:
        vocabulary = train_vocabulary(
            iterate_text_corpus(), num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes
        )
    if not (run / "tokenizer.json").exists():
        save_vocabulary(vocabulary, run)
    return vocabulary


def find_weights(run: Path) -> Path:
    """Weights of a run's newest state, or of a checkpoint.

    Raises: ConfigError if it has none.
    """
    states = sorted(run.glob("state/[0-9]*/weights.safetensors"))
    if not states and (run / WEIGHTS_NAME).exists():
        return run / WEIGHTS_NAME
    if not states:
        raise ConfigError(f"{run} holds no training state; name a run directory of viva train, or a checkpoint")
    return states[-1]


def load_ear(run: Path, shape: OmniConfig, vocabulary: Vocabulary) -> Ear:
    """The ear of a run of `viva train ear`.

    Raises: ConfigError if it writes with another vocabulary; CheckpointError if it has another shape.
    """
    own = load_vocabulary(run, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    if own.digest != vocabulary.digest:
        raise ConfigError(f"the ear in {run} learned another vocabulary; train it with the tokenizer.json of the trunk")
    ear = Ear(shape)
    load_weights(find_weights(run), {"ear": ear})
    return ear


def load_namer(run: Path, shape: OmniConfig) -> Namer:
    """The eye of a run of `viva train eye`, with its words.

    Raises: ConfigError if it has no state; CheckpointError if it has another shape.
    """
    namer = Namer(shape)
    load_weights(find_weights(run), {"eye": namer})
    return namer


def holds_ear(run: Path) -> bool:
    """Whether a run's weights, or a checkpoint's, are those of an ear alone, which can spell.

    Raises: ConfigError if there are none.
    """
    with safe_open(find_weights(run), "pt") as weights:
        return any(name.startswith("ear.") for name in weights.keys())  # noqa: SIM118 (not a mapping)


def start_ear(run: Path, shape: OmniConfig, vocabulary: Vocabulary) -> Ear:
    """An ear to go on from: that of a run of `viva train ear`, or stem and scribe of a run of `viva train omni` or of a checkpoint.

    Raises: as `load_ear` and `load_trunk` do.
    """
    if holds_ear(run):
        return load_ear(run, shape, vocabulary)
    ear, trunk = Ear(shape), load_trunk(run, shape)
    ear.stem.load_state_dict(trunk.stem.state_dict())
    ear.scribe.load_state_dict(trunk.scribe.state_dict())
    return ear


def load_second_pass(run: Path, shape: OmniConfig, stem: Stem) -> SecondPass:
    """The second pass of a run of `viva train second-pass`, which was taught over `stem`.

    Raises: ConfigError if it was taught over another, or there is no state; CheckpointError if it has another shape.
    """
    weights = find_weights(run)
    if json.loads((run / "config.json").read_text())["config"]["stem"] != digest_weights(stem):
        raise ConfigError(f"the second pass in {run} was taught over another stem; teach one over this: --start-from")
    listener = Listener(shape, stem)
    load_weights(weights, {"listener": listener})
    return listener.second_pass


def load_language(run: Path, scribe: Scribe, vocabulary: Vocabulary) -> None:
    """Put the language model of a run of `viva train language` into `scribe`.

    Raises: ConfigError if it knows another vocabulary, or there is no state; CheckpointError if it has another shape.
    """
    weights = find_weights(run)
    own = load_vocabulary(run, num_text_ids=vocabulary.num_text_ids, num_image_codes=vocabulary.num_image_codes)
    if own.digest != vocabulary.digest:
        raise ConfigError(
            f"the language model in {run} knows another vocabulary; teach one of this run's: --start-from"
        )
    load_weights(weights, {"language": LanguageModelling(scribe)})


def load_trunk(run: Path, shape: OmniConfig) -> OmniForConversation:
    """The trunk of a run of `viva train omni`, or of a checkpoint.

    Raises: ConfigError if it has no state; CheckpointError if it has another shape.
    """
    if find_weights(run).name == WEIGHTS_NAME:
        return load_checkpoint(run).model.train()
    model = OmniForConversation(shape)
    load_weights(find_weights(run), {"omni": model})
    return model


def digest_data(data: Path, codec: Path | None = None, images: Path | None = None) -> str:
    """Of what the rows are made of: the list of renderings and the two tokenizers."""
    plans = sorted(str(path.relative_to(data)) + digest_file(path) for path in data.glob("*/plan.json"))
    if codec is not None and (codec_folder := find_codec_folder(codec)) is not None:
        plans.append(digest_codes(load_codec(codec_folder)))
    if images is not None and (images_folder := find_images_folder(images)) is not None:
        plans.append(digest_file(images_folder / IMAGE_WEIGHTS))
    return digest_json(plans)[:16]
