"""Completions of a policy model, in batches, and log-probabilities of endings."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vivavoce.rbr.prompts import Prompt
from vivavoce.text_models import TextModel, render_chat


def sample_completions(
    text_model: TextModel, prompts: Sequence[Prompt], *, max_tokens: int, temperature: float, batch_size: int, seed: int
) -> list[str]:
    """One completion per prompt; temperature 0 is greedy. Prompts of a batch are padded on the left."""
    model, tokenizer = text_model
    tokenizer.padding_side = "left"
    torch.manual_seed(seed)
    texts = [render_chat(tokenizer, prompt.messages) for prompt in prompts]
    found: list[str] = []
    for start in range(0, len(texts), batch_size):
        batch = tokenizer(
            texts[start : start + batch_size], return_tensors="pt", padding=True, add_special_tokens=False
        )
        how = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        with torch.inference_mode():
            out = model.generate(  # pyright: ignore[reportCallIssue]  # a mixin's annotation
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=max_tokens,
                pad_token_id=tokenizer.pad_token_id,
                **how,
            )
        width = batch["input_ids"].shape[1]
        found += [text.strip() for text in tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)]
    return found


def score_ending(text_model: TextModel, beginning: str, ending: str) -> float:
    """Mean log-probability of the tokens of `ending` after `beginning`."""
    model, tokenizer = text_model
    head = tokenizer.encode(beginning, add_special_tokens=False)
    tail = tokenizer.encode(ending, add_special_tokens=False)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*head, *tail]])).logits[0]
    logprobs = torch.log_softmax(logits[len(head) - 1 : -1].float(), dim=-1)
    return float(logprobs[torch.arange(len(tail)), torch.tensor(tail)].mean())
