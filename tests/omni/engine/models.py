"""A tiny checkpoint that has learned nothing, with every part, and engines on it."""

import torch

from vivavoce.omni.checkpoint import Checkpoint
from vivavoce.omni.codec import config as codec_config
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.images.network import ImageTokenizer, ImageTokenizerConfig
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.vocabulary import train_vocabulary

WORDS = ["how many balls are there", "what colour is the cat", "say one two three", "draw a red star", "hello you"]


def make_checkpoint(seed: int = 0) -> Checkpoint:
    """Random weights; codes of both tokenizers match the network's."""
    torch.manual_seed(seed)
    config = make_tiny(num_codes_per_book=12, num_image_codes=20)
    vocabulary = train_vocabulary(WORDS, num_text_ids=config.num_text_ids, num_image_codes=config.num_image_codes)
    codec = Codec(codec_config.make_tiny(levels=(4, 3)))  # type: ignore[arg-type]
    images = ImageTokenizer(ImageTokenizerConfig(levels=(5, 4), widths=(8, 8, 8)))
    model = OmniForConversation(config)
    with torch.no_grad():
        # sharper than at the start of training, so that choices are not ties
        for parameter in model.parameters():
            parameter.mul_(3.0) if parameter.ndim > 1 else None
    return Checkpoint("vivavoce-tiny", model.eval(), vocabulary, codec.eval(), images.eval(), f"random-{seed}")
