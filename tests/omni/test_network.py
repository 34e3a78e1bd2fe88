"""The network is causal, does not mind company, and is a plain causal language model on ids alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.omni.rows import make_row
from vivavoce.omni.configuration import OmniConfig, make_nano, make_tiny
from vivavoce.omni.losses import LossWeights, compute_losses, level_loss
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate, track_speaking
from vivavoce.omni.steps import CLOCK, SPEAK, STAY, STOP, Steps


@pytest.fixture(scope="module")
def model() -> OmniForConversation:
    torch.manual_seed(0)
    return OmniForConversation(make_tiny()).eval()


def hidden_of(model: OmniForConversation, *rows) -> torch.Tensor:
    with torch.no_grad():
        batch = collate(list(rows))
        return model.hear_trunk(model.embed(batch), batch.rows)


def test_what_comes_later_changes_nothing_before(model: OmniForConversation) -> None:
    row = make_row(model.config, 1)
    changed = replace(row, mel=row.mel.copy(), codes=row.codes.copy(), text=row.text.copy())
    changed.mel[7:] += 1.0
    changed.codes[7:] = 0
    changed.text[7:] = 5
    before = int(np.flatnonzero(row.kinds == CLOCK)[7])
    left, right = hidden_of(model, row), hidden_of(model, changed)
    assert torch.equal(left[:before], right[:before])
    assert not torch.allclose(left[before], right[before])


def test_a_clock_step_reads_only_the_outputs_of_the_step_before(model: OmniForConversation) -> None:
    row = make_row(model.config, 1)
    changed = replace(row, text=row.text.copy())
    changed.text[6] = (changed.text[6] + 1) % 300
    # the sixth takes the turn, and its note lies between
    after = int(np.flatnonzero(row.kinds == CLOCK)[7])
    assert after == row.said_from[6] + 1
    left, right = hidden_of(model, row), hidden_of(model, changed)
    assert torch.equal(left[:after], right[:after])
    assert not torch.allclose(left[after], right[after])


def test_the_first_word_and_codes_of_a_turn_are_learned_at_its_notes_end(model: OmniForConversation) -> None:
    row = make_row(model.config, 1)
    only = np.arange(len(row.turn)) == 6
    row = replace(row, text_weights=1.0 * only, code_weights=1.0 * only)
    hidden = hidden_of(model, row)[row.said_from[6]][None]
    with torch.no_grad():
        _, report = compute_losses(model, collate([row]), LossWeights())
        text, codes = torch.tensor(row.text[[6]]), torch.tensor(row.codes[[6]])
        word = F.cross_entropy(model.text_logits(hidden), text)
        sound = F.cross_entropy(model.code_logits(hidden, text, codes)[0], codes[0])
    assert report["text"].item() == pytest.approx(word.item(), abs=1e-5)
    assert report["codes"].item() == pytest.approx(sound.item(), abs=1e-5)


def test_in_company_equals_alone(model: OmniForConversation) -> None:
    rows = [make_row(model.config, seed, num_clock=num_clock) for seed, num_clock in enumerate((6, 7, 8, 20))]
    together = hidden_of(model, *rows).split([len(row) for row in rows])
    for row, hidden in zip(rows, together):
        torch.testing.assert_close(hidden, hidden_of(model, row), atol=1e-5, rtol=1e-5)


def test_packed_rows_equal_the_stock_forward(model: OmniForConversation) -> None:
    row = make_row(model.config, 1)
    with torch.no_grad():
        embeds = model.embed(collate([row]))
        stock = model.model(inputs_embeds=embeds[None], use_cache=False).last_hidden_state[0]
    torch.testing.assert_close(hidden_of(model, row), stock, atol=1e-5, rtol=1e-5)


def test_unsorted_rows_keep_their_places(model: OmniForConversation) -> None:
    rows = [make_row(model.config, seed, num_clock=num_clock) for seed, num_clock in enumerate((20, 6, 9))]
    together = hidden_of(model, *rows).split([len(row) for row in rows])
    torch.testing.assert_close(together[1], hidden_of(model, rows[1]), atol=1e-5, rtol=1e-5)


def test_the_loss_of_a_row_does_not_mind_company_without_weight(model: OmniForConversation) -> None:
    row, other = make_row(model.config, 3), make_row(model.config, 4, num_clock=30)
    names = [item.name for item in fields(Steps) if item.name.endswith("weights")]
    silent = replace(other, **{name: np.zeros_like(getattr(other, name)) for name in names})
    with torch.no_grad():
        alone = compute_losses(model, collate([row]), LossWeights())[1]
        together = compute_losses(model, collate([row, silent]), LossWeights())[1]
    assert alone.keys() == {"token", "turn", "text", "codes"}
    for name in alone:
        torch.testing.assert_close(alone[name], together[name], atol=1e-5, rtol=1e-5)


def test_the_ear_streams_as_it_hears_the_whole(model: OmniForConversation) -> None:
    mel = torch.randn(2, 8 * 9, 80)
    state, pieces = model.stem.make_state(2), []
    with torch.no_grad():
        whole = model.stem(mel)
        for start in (0, 8, 32):
            piece, state = model.stem.step(mel[:, start : {0: 8, 8: 32, 32: 72}[start]], state)
            pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-6, rtol=1e-5)


def test_speaking_lasts_from_the_step_after_speak_to_stop() -> None:
    turn = torch.tensor([STAY, SPEAK, STAY, STOP, STAY, SPEAK]).numpy()
    assert track_speaking(turn).tolist() == [False, False, True, True, False, False]


def test_on_ids_alone_it_equals_the_plain_llama_cut_from_it(model: OmniForConversation) -> None:
    config = model.config
    plain_config = LlamaConfig(
        **{key: getattr(config, key) for key in LlamaConfig().to_dict() if hasattr(config, key) and key != "model_type"}
    )
    plain = LlamaForCausalLM(plain_config).eval()
    missing = plain.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert not missing
    ids = torch.randint(0, config.vocab_size, (2, 17))
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)


def test_generate_continues_ids(model: OmniForConversation) -> None:
    ids = torch.randint(32, 300, (1, 5))
    out = model.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    with torch.no_grad():
        again = ids
        for _ in range(4):
            logits = model(input_ids=again).logits[:, -1]
            logits[:, model.config.eos_token_id] = -torch.inf
            again = torch.cat([again, logits.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(out, again)


def test_auto_class_round_trip_keeps_every_weight(model: OmniForConversation, tmp_path) -> None:
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is OmniForConversation
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_peft_round_trip_gives_the_same_logits(model: OmniForConversation, tmp_path) -> None:
    peft = pytest.importorskip("peft")
    base = OmniForConversation(model.config)
    base.load_state_dict(model.state_dict())
    adapted = peft.get_peft_model(base, peft.LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    ids = torch.randint(32, 300, (1, 9))
    adapted.eval()
    with torch.no_grad():
        wanted = adapted(input_ids=ids).logits
        adapted.save_pretrained(tmp_path)
        fresh = OmniForConversation(model.config)
        fresh.load_state_dict(model.state_dict())
        loaded = peft.PeftModel.from_pretrained(fresh, tmp_path).eval()
        assert torch.equal(loaded(input_ids=ids).logits, wanted)
        assert not torch.allclose(model(input_ids=ids).logits, wanted)


def test_every_parameter_but_those_that_write_down_is_trained_by_a_row_with_all_kinds_of_step() -> None:
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny())
    compute_losses(model, collate([make_row(model.config, 4)]), LossWeights())[0].backward()
    untouched = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    writers = {"scribe": model.scribe, "second_pass": model.second_pass}
    assert untouched == [f"{part}.{name}" for part, module in writers.items() for name, _ in module.named_parameters()]


def test_nano_fits_its_share_of_the_checkpoint() -> None:
    with torch.device("meta"):
        model = OmniForConversation(make_nano())
    stored = (tensor.numel() for tensor in model.parameters())
    # codec and image tokenizer take 6.7 of the 60 MB
    assert sum(stored) * 2 <= 53.2e6


def test_a_config_of_another_version_is_refused() -> None:
    with pytest.raises(Exception, match="format version 99"):
        OmniConfig(format_version=99)


def test_level_loss_is_that_of_each_level_whatever_the_others_are() -> None:
    levels = (4, 3, 2)
    logits, codes = torch.randn(5, 24, dtype=torch.float64), torch.tensor([0, 5, 23, 11, 18])
    probs = logits.softmax(-1)
    for row, code in enumerate(codes.tolist()):
        wanted = 0.0
        for count, below in zip(levels, (1, 4, 12)):
            shared = [other for other in range(24) if other // below % count == code // below % count]
            wanted -= float(probs[row, shared].sum().log()) / 3
        assert float(level_loss(logits, codes, levels)[row]) == pytest.approx(wanted)
    # a guess that misses one level of three is nearer than one that misses all
    sure = torch.full((2, 24), -20.0).scatter(1, torch.tensor([[1], [17]]), 0.0)
    near, far = level_loss(sure, torch.tensor([0, 0]), levels)
    assert near < far


def test_levels_add_to_the_loss_only_where_the_book_has_them(model: OmniForConversation) -> None:
    batch = collate([make_row(model.config, 4)])
    plain, report = compute_losses(model, batch, LossWeights())
    near, same = compute_losses(model, batch, LossWeights(image_levels=(5, 4), audio_levels=(4, 3)))
    assert near > plain
    assert {name: float(value) for name, value in report.items()} == {
        name: float(value) for name, value in same.items()
    }


def test_what_a_muted_ear_hears_changes_nothing(model: OmniForConversation) -> None:
    row = make_row(model.config, 4)
    muted = replace(row, is_muted=np.arange(len(row.turn)) % 2 == 0)
    loud = replace(muted, mel=np.where(muted.is_muted[:, None, None], row.mel + 1, row.mel).astype(np.float32))
    with torch.no_grad():
        quiet_in, loud_in = (model.embed(collate([one]))[row.kinds == CLOCK] for one in (muted, loud))
    # what was heard while muted is remembered by the convolutions, so steps that hear may differ
    assert torch.equal(quiet_in[::2], loud_in[::2])
    assert not torch.equal(quiet_in[1::2], loud_in[1::2])


def test_a_whole_utterance_is_heard_with_what_comes_after_in_sight() -> None:
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny()).eval()
    for tensor in model.second_pass.parameters():
        torch.nn.init.normal_(tensor, std=0.3)
    mel = torch.randn(2, 5 * 8, 80)
    with torch.no_grad():
        first, said = model.hear_again(mel)
        assert torch.equal(first, model.scribe(model.stem(mel)))
        assert said.shape == (2, 10, 320)
        assert torch.allclose(said.exp().sum(-1), torch.ones(2, 10), atol=1e-5)
        later = mel.clone()
        later[:, 32:] += 1
        # the ear has not heard it by then, the second pass has
        assert torch.equal(model.stem(later)[:, :4], model.stem(mel)[:, :4])
        assert not torch.allclose(model.hear_again(later)[1][:, 0], said[:, 0])


def test_the_second_pass_attends_to_nothing_past_an_utterances_end() -> None:
    torch.manual_seed(0)
    second = OmniForConversation(make_tiny()).second_pass.eval()
    x, mask = torch.randn(2, 12, 16), torch.arange(12)[None, None, None] < torch.tensor([12, 8])[:, None, None, None]
    for tensor in second.parameters():
        torch.nn.init.normal_(tensor, std=0.3)
    block = second.blocks[0]
    torch.nn.init.zeros_(block.out.weight)
    torch.nn.init.zeros_(block.out.bias)
    with torch.no_grad():
        whole, changed = block(x, mask), x.clone()
        changed[1, 8:] += 1
        again = block(changed, mask)
    assert torch.equal(again[0], whole[0])
    assert torch.equal(again[1, :8], whole[1, :8])
    assert not torch.equal(again[1, 8:], whole[1, 8:])
