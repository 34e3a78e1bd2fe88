"""Voices that are networks run here: hibari (a package with its own front end), Piper and Kokoro (ONNX files and
phonemes from espeak-ng). Each is loaded once a process; one thread.

Raises throughout: AssetError or MissingExtraError if weights or a package are missing.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from vivavoce.assets import KOKORO_ENGLISH, resolve
from vivavoce.content import Audio
from vivavoce.data.voices.programs import find_phonemes
from vivavoce.errors import ConfigError, MissingExtraError

HIBARI_SHA256 = "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3"
"""Of the wheel hibari-tts 0.2.1, read before use; only its bundled voice is used, which downloads nothing."""
_HIBARI_LENGTHS = "/Clip_output_0"
"""In the graph of 0.2.1: phoneme lengths, rounded and clipped."""
_HIBARI_UNIT_S = 0.025
# espeak-ng's symbols to Kokoro's, in order: diphthongs are one capital, affricates one ligature
_KOKORO_SYMBOLS = (
    ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("oʊ", "O"), ("əʊ", "O"), ("ɔɪ", "Y"), ("dʒ", "ʤ"), ("tʃ", "ʧ"),
    ("ɚ", "əɹ"), ("ɝ", "ɜɹ"), ("r", "ɹ"), ("ː", ""), ("ɐ", "ə"), ("x", "k"), ("g", "ɡ"),
)  # fmt: skip


def speak_hibari(text: str, voice: str, pace: float) -> Audio:
    """The package's bundled voice, with a fixed noise part."""
    if voice != "heart":
        raise ConfigError(f"hibari voice {voice!r} would be a download; only heart is in the package")
    return Audio(_hibari()(text, speed=pace, seed=0).astype(np.float32), 24_000)


def hibari_phonemes(text: str) -> str:
    """The phonemes that hibari reads for a text, in its own alphabet."""
    return " ".join(_hibari().phonemize(text))


def hibari_word_starts(text: str) -> list[float] | None:
    """When each word of `text` begins, in seconds after the first; None where the front end reads other words than are
    written, or more than one sentence.

    The network decides how long each phoneme lasts, in units of 25 ms, before it makes any sound; that is read off.
    """
    sentences = _hibari().phonemize(text)
    if len(sentences) != 1 or len(sentences[0].split(" ")) != len(text.split()):
        return None
    ids = _hibari().ids(sentences[0])
    if len(ids) != len(sentences[0]) + 2:
        return None
    feed = {"ids": np.array([ids], np.int64), "speed": np.ones(1, np.float32)}
    lengths = np.asarray(_hibari_lengths().run([_HIBARI_LENGTHS], feed)[0], float).reshape(-1)
    begins = np.concatenate([[0.0], np.cumsum(lengths)])[1:-1] * _HIBARI_UNIT_S
    first = [0, *(idx + 1 for idx, symbol in enumerate(sentences[0]) if symbol == " ")]
    return [round(float(begins[idx] - begins[0]), 3) for idx in first]


@functools.cache
def _hibari_lengths() -> Any:
    """Hibari's network with the lengths of phonemes as its only output, so that no sound is made."""
    import onnx

    graph = onnx.load(_hibari().model_path)
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(_HIBARI_LENGTHS, onnx.TensorProto.FLOAT, None))
    return _session(graph.SerializeToString())


@functools.cache
def _hibari() -> Any:
    try:
        from hibari import Hibari  # pyright: ignore[reportMissingImports]  # an optional teacher, for training only
    except ModuleNotFoundError as error:
        raise MissingExtraError("the preset voice's teacher is not installed; pip install hibari-tts==0.2.1") from error
    return Hibari(voice="heart", threads=1)


def speak_piper(text: str, voice: str, pace: float) -> Audio:
    """Piper's VITS; `voice` is the asset's name without `piper-`."""
    session, table = _piper(voice)
    ids = [*table["phoneme_id_map"]["^"], *table["phoneme_id_map"]["_"]]
    for symbol in find_phonemes(text):
        if known := table["phoneme_id_map"].get(symbol):
            ids += [*known, *table["phoneme_id_map"]["_"]]
    ids += table["phoneme_id_map"]["$"]
    settings = table["inference"]
    # chosen: no noise at all, so that a rendering depends on its text alone
    scales = np.array([0.0, settings["length_scale"] / pace, 0.0], np.float32)
    lengths = np.array([len(ids)], np.int64)
    out = session.run(None, {"input": np.array([ids], np.int64), "input_lengths": lengths, "scales": scales})
    return Audio(np.asarray(out[0], np.float32).reshape(-1), table["audio"]["sample_rate"])


@functools.cache
def _piper(voice: str) -> tuple[Any, dict[str, Any]]:
    folder = resolve(f"piper-{voice}")
    return _session(str(folder / "voice.onnx")), json.loads((folder / "voice.json").read_text())


def speak_kokoro(text: str, voice: str, pace: float) -> Audio:
    """Kokoro with one of the packaged style vectors; `first+second` is the mean of two, a speaker of its own."""
    names = voice.split("+")
    phonemes = find_phonemes(text, "en-gb" if names[0].startswith("b") else "en-us")
    for old, new in _KOKORO_SYMBOLS:
        phonemes = phonemes.replace(old, new)
    session, vocabulary = _kokoro()
    tokens = [vocabulary[symbol] for symbol in phonemes if symbol in vocabulary][:510]
    # a style's row goes with the number of tokens
    style = np.mean([_kokoro_style(name)[max(0, len(tokens) - 1)] for name in names], axis=0).reshape(1, 256)
    feed = {"tokens": np.array([[0, *tokens, 0]], np.int64), "style": style.astype(np.float32)}
    said = session.run(None, feed | {"speed": np.array([pace], np.float32)})[0]
    return Audio(np.asarray(said, np.float32).reshape(-1), 24_000)


@functools.cache
def _kokoro() -> tuple[Any, dict[str, int]]:
    folder = resolve("kokoro")
    return _session(str(folder / "model.onnx")), json.loads((folder / "vocab.json").read_text())["vocab"]


@functools.cache
def _kokoro_style(name: str) -> np.ndarray:
    """Style vectors [510, 1, 256]: a Japanese voice's come with the model, an English one's in a package of their own."""
    if name in KOKORO_ENGLISH:
        return np.fromfile(resolve("kokoro-styles") / f"{name}.bin", np.float32).reshape(-1, 1, 256)
    with np.load(resolve("kokoro") / "voices.npz", allow_pickle=False) as japanese:
        return np.asarray(japanese[name])


def _session(path: str | bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
