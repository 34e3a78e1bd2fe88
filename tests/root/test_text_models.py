"""Loading of text models: folders, caches and packages, without a network."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vivavoce.content import assistant, user
from vivavoce.errors import AssetError, CheckpointError
from vivavoce.text_models import DEFAULT_TEXT_MODEL, load_text_model, render_chat


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and an end mark."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<end>": 0, **{symbol: idx + 1 for idx, symbol in enumerate(alphabet)}}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, eos_token_id=0, bos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_loads_ready_to_use(folder: Path) -> None:
    model, tokenizer = load_text_model(str(folder), download=False)
    assert not model.training
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    ids = tokenizer("yes", return_tensors="pt").input_ids
    assert tokenizer.decode(ids[0]) == "yes"
    assert model(ids).logits.shape == (1, 3, 257)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no causal language model"):
        load_text_model(str(tmp_path), download=False)


def test_an_unknown_name_says_what_is_known() -> None:
    with pytest.raises(AssetError, match=r"no text model 'nobody/nothing'.*smollm2-135m-instruct"):
        load_text_model("nobody/nothing", download=False)


def test_a_tokenizer_without_a_template_gets_paragraphs() -> None:
    text = render_chat(byte_tokenizer(), [user("Hi"), assistant("Hello"), user("Bye")])
    assert text == "user: Hi\n\nassistant: Hello\n\nuser: Bye\n\nassistant:"


@pytest.mark.slow
def test_the_default_model_writes_english() -> None:
    try:
        model, tokenizer = load_text_model(DEFAULT_TEXT_MODEL, download=False)
    except AssetError as error:
        pytest.skip(f"the default model is in no cache here: {error}")
    prompt = tokenizer(render_chat(tokenizer, [user("What is the capital of France?")]), return_tensors="pt")
    reply = model.generate(  # pyright: ignore[reportCallIssue]  # a mixin's annotation
        **prompt, max_new_tokens=12, do_sample=False
    )
    assert "Paris" in tokenizer.decode(reply[0, prompt.input_ids.shape[1] :])
