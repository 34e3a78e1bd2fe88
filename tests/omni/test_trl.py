"""TRL trains the omni model's text path as any causal language model."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.vocabulary import save_vocabulary, train_vocabulary

pytest.importorskip("trl")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = make_tiny()
    OmniForConversation(config).save_pretrained(tmp_path)
    vocabulary = train_vocabulary(
        ["a red ball"] * 9, num_text_ids=config.num_text_ids, num_image_codes=config.num_image_codes
    )
    save_vocabulary(vocabulary, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_supervised_fine_tuning_moves_text_and_leaves_the_ear_alone(checkpoint: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    chats = [[{"role": "user", "content": "what is it"}, {"role": "assistant", "content": "a red ball"}]] * 8
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    arguments = SFTConfig(
        output_dir=str(tmp_path / "sft"),
        max_steps=2,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        bf16=False,
    )
    trainer = SFTTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict({"messages": chats}),
        processing_class=AutoTokenizer.from_pretrained(checkpoint),
    )
    loss = trainer.train().training_loss
    assert 0 < loss < 10
    after = model.state_dict()
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"])
    assert torch.equal(before["sound_norm.weight"], after["sound_norm.weight"])


@pytest.mark.slow
def test_grpo_rewards_sampled_text(checkpoint: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    prompts = [[{"role": "user", "content": "what is it"}]] * 4
    seen: list[str] = []

    def reward(completions, **_) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        seen.extend(texts)
        return [float(len(text)) for text in texts]

    arguments = GRPOConfig(
        output_dir=str(tmp_path / "grpo"),
        max_steps=1,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=6,
        report_to=[],
        use_cpu=True,
        bf16=False,
    )
    trainer = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(checkpoint),
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=AutoTokenizer.from_pretrained(checkpoint),
    )
    trainer.train()
    assert len(seen) == 4
