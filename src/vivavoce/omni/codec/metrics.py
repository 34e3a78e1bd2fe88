"""How good a codec is: what a recogniser understands, how clean it sounds, whose voice it is, how codes are used.

Each number is of the resynthesis beside the original's, on the same held-out utterances, with their paired difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vivavoce.content import Audio
from vivavoce.data.voices.shards import Shards
from vivavoce.data.voices.trim import trim
from vivavoce.omni.codec.conversion import decode_codes, encode_audio
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.training import code_use
from vivavoce.omni.judges import recogniser
from vivavoce.omni.judges.quality import judge_quality
from vivavoce.omni.judges.speaker import embed_voice
from vivavoce.omni.judges.words import count_errors, word_error_rate
from vivavoce.stats import Estimate, estimate_difference, estimate_mean, estimate_ratio


def load_originals(folder: str, count: int) -> list[Audio]:
    """The first `count` renderings of a folder, trimmed, with their texts."""
    shards = Shards(folder)
    found = []
    for number in range(min(count, len(shards))):
        item = shards[number]
        samples = item.array.astype(np.float32) / 32767
        found.append(Audio(trim(samples, item.about["rate_hz"]), item.about["rate_hz"], item.about["text"]))
    return found


def measure_codec(codec: Codec, originals: Sequence[Audio]) -> dict[str, Any]:
    """All measures over `originals`, 24 kHz with transcripts. See the module docstring."""
    codes = [encode_audio(codec, audio) for audio in originals]
    made = [decode_codes(codec, one) for one in codes]
    listener = recogniser.Recogniser()
    texts = [audio.transcript or "" for audio in originals]
    heard_true, heard_made = listener.transcribe_all(originals), listener.transcribe_all(made)
    errors_true = [count_errors(text, heard) for text, heard in zip(texts, heard_true)]
    errors_made = [count_errors(text, heard) for text, heard in zip(texts, heard_made)]
    added = [ours.errors - theirs.errors for ours, theirs in zip(errors_made, errors_true)]
    quality_true = [judge_quality(audio).overall for audio in originals]
    quality_made = [judge_quality(audio).overall for audio in made]
    voices = [float(embed_voice(left) @ embed_voice(right)) for left, right in zip(originals, made)]
    estimates: dict[str, Estimate] = {
        "word_error_rate_original": word_error_rate(texts, heard_true),
        "word_error_rate_resynthesis": word_error_rate(texts, heard_made),
        "word_error_rate_added": estimate_ratio(added, [count.words for count in errors_true]),
        "dnsmos_original": estimate_mean(quality_true),
        "dnsmos_resynthesis": estimate_mean(quality_made),
        "dnsmos_difference": estimate_difference(quality_made, quality_true),
        "voice_similarity": estimate_mean(voices),
    }
    return {
        "recogniser": recogniser.NAME,
        "utterances": len(originals),
        "seconds": sum(audio.duration_s for audio in originals),
        "coverage": f"{len(originals)}/{len(originals)}",
        **{name: estimate.to_json() for name, estimate in estimates.items()},
        **code_use(torch.cat(codes), codec.config),
        "worst": [
            {"text": text, "heard": heard}
            for text, heard, more in sorted(zip(texts, heard_made, added), key=lambda row: -row[2])[:5]
            if more > 0
        ],
    }
