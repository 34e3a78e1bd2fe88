"""Mistakes that training reads are those that the engine makes."""

import numpy as np
import torch

from tests.omni.training.test_ear import vocabulary  # noqa: F401 - fixture
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.engine.generation import make_transcriber
from vivavoce.omni.engine.torch_backend import TorchBackend
from vivavoce.omni.engine.transcriber import SURE_NATS
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.mishearing import BothPasses
from vivavoce.omni.vocabulary import Vocabulary


def test_what_both_passes_write_is_what_the_engine_reads_when_it_takes_its_turn(
    vocabulary: Vocabulary,  # noqa: F811
) -> None:
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny()).eval()
    # as new, nothing is likelier than anything else; some words have to be heard
    torch.nn.init.normal_(model.scribe.hear.weight, std=1.0)
    torch.nn.init.normal_(model.second_pass.hear.weight, std=1.0)
    sound = np.random.default_rng(1).normal(0, 1, (10, 8, 80)).astype(np.float32)
    backend = TorchBackend(model)
    transcriber = make_transcriber(backend.language, vocabulary, backend.hear_again)
    ears, hearing = [backend.make_ear()], transcriber.begin()
    for mel in sound:
        output = backend.hear(mel[None], ears)
        ears = output.ears
        hearing = transcriber.hear(hearing, output.said[0], SURE_NATS, mel)
    read, _ = transcriber.read(hearing)
    (found,) = BothPasses(model, vocabulary).write([sound.reshape(-1, 80)])
    assert found is not None
    assert len(read) > 2
    assert tuple(found.ids.tolist()) == read
    assert (np.diff(found.ends) > 0).all()
    assert found.ends[-1] == 79 or found.ends[-1] % 8 == 7
