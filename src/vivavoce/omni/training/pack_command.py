"""`viva train pack`."""

from __future__ import annotations

import json
from pathlib import Path

from vivavoce.omni.checkpoint import WEIGHTS_NAME, save_checkpoint
from vivavoce.omni.configuration import PRESETS, OmniConfig
from vivavoce.omni.training.places import find_weights, load_language, load_second_pass, load_trunk
from vivavoce.omni.training.sources import find_codec, find_pictures
from vivavoce.omni.vocabulary import load_vocabulary


def pack(
    *,
    run: Path,
    codec: Path,
    images: Path,
    second_pass: Path | None = None,
    language: Path | None = None,
    out: Path = Path("checkpoints/nano"),
    card: Path | None = None,
    speak_bias: float | None = None,
) -> None:
    """Write a checkpoint from the newest state of a run, finished or not, with the two tokenizers.

    Args:
        run: run directory of viva train omni; or a checkpoint, to give it another second pass or language model.
        codec: folder of the speech codec.
        images: folder of the image tokenizer.
        second_pass: run of `viva train second-pass`, taught over this run's stem; else what the run has.
        language: run of `viva train language`; else what the run has.
        out: folder to write.
        card: model card to put in as README.md.
        speak_bias: how much these weights have to be pushed to answer in time (recipes/serve_foresight.py), else what the checkpoint
            has, and 0 for a run; it can be changed in the checkpoint's config.json later.
    """
    model = load_trunk(run, _find_shape(run))
    shape = model.config
    vocabulary = load_vocabulary(run, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    if second_pass is not None:
        model.second_pass = load_second_pass(second_pass, shape, model.stem)
    if language is not None:
        load_language(language, model.scribe, vocabulary)
    if speak_bias is not None:
        model.config.speak_bias = speak_bias
    text = card.read_text() if card is not None else ""
    save_checkpoint(out, model, vocabulary, codec=find_codec(codec), images=find_pictures(images), card=text)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB from {find_weights(run).parent}")


def _find_shape(run: Path) -> OmniConfig:
    """That of a run, or of a checkpoint."""
    if find_weights(run).name == WEIGHTS_NAME:
        return OmniConfig.from_pretrained(run)
    return PRESETS[json.loads((run / "config.json").read_text())["config"]["preset"]]()
