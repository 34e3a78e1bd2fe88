"""One table of ids: control tokens, text, then image codes.

Text rows come first, so that the text path cut from the model is an ordinary language model; image codes are the rows
after them. Audio codes are not here: they have tables of their own (`network`), because a clock step carries four.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.files import digest_json

CONTROL_TOKENS = (
    "<pad>",  # nothing to say on this clock step; also padding
    "<bos>",
    "<system>",
    "<user>",
    "<assistant>",
    "<tool>",
    "<end>",  # closes a message; end of sequence
    "<out_text>",  # what the answer may hold
    "<out_audio>",
    "<out_image>",
    "<read>",  # the task: say the user's text word for word
    "<live>",  # the clock runs from here
    "<img>",  # a picture comes in: patches until </img>
    "</img>",
    "<vid>",  # a film comes in: frames, each of pooled patches, until </vid>
    "</vid>",
    "<imgout>",  # the model draws: image codes until </imgout>
    "</imgout>",
    "<mute>",  # the microphone is off on the clock steps that follow
    "<unmute>",
)
BLANK = CONTROL_TOKENS.index("<pad>")
"""For the scribe: nothing new was heard."""
START_ROW = CONTROL_TOKENS.index("<bos>")
"""For the scribe: what stands before the first word."""
NUM_CONTROL_ROWS = 32
"""chosen: room for twelve more without moving any text row."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] if part['type'] == 'text' else '' }}{% endfor %}"
    "{% endif %}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Text tokenizer with the ids of control tokens and image codes.

    tokenizer: byte-level BPE whose first 32 rows are control tokens.
    num_text_ids: rows for control tokens and text; image code c has id `num_text_ids + c`.
    """

    tokenizer: Tokenizer
    num_text_ids: int
    num_image_codes: int

    def __post_init__(self) -> None:
        for idx, token in enumerate(CONTROL_TOKENS):
            if self.tokenizer.token_to_id(token) != idx:
                raise CheckpointError(
                    f"tokenizer has {token} at row {self.tokenizer.token_to_id(token)}; this version needs it at {idx}; "
                    "use the tokenizer that came with the checkpoint"
                )

    def frame_note(self, ids: Iterable[int], *, is_spoken: bool) -> list[int]:
        """Words that were heard, as a note (`layout`): a typed message, and the clock again where the answer is spoken."""
        return [
            self.id_of("<user>"),
            *ids,
            self.id_of("<end>"),
            *([self.id_of("<live>")] if is_spoken else []),
        ]

    @property
    def size(self) -> int:
        """Rows of the table."""
        return self.num_text_ids + self.num_image_codes

    @property
    def digest(self) -> str:
        """Of which piece of text is in which row; it stays the same when the tokenizer is written and read."""
        return digest_json(self.tokenizer.get_vocab())

    def id_of(self, token: str) -> int:
        """Id of a control token.

        Raises: ConfigError if there is none of that name.
        """
        if token not in CONTROL_TOKENS:
            raise ConfigError(f"no control token {token!r}; there are {' '.join(CONTROL_TOKENS)}")
        return CONTROL_TOKENS.index(token)

    def encode(self, text: str) -> list[int]:
        """Ids of `text` alone. Control tokens written in it are encoded as plain characters, so text can't give orders."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; control tokens and image codes are left out. Incomplete UTF-8 becomes the replacement mark."""
        return self.tokenizer.decode([idx for idx in ids if NUM_CONTROL_ROWS <= idx < self.num_text_ids])

    def count_by_word(self, text: str) -> list[int]:
        """How many tokens each word of `text` has, words being what stands between spaces; marks belong to their word."""
        is_space = np.array([letter.isspace() for letter in text], bool)
        # a word begins at a letter after a space; a space counts to the word after it, as it does in the tokens
        words = np.cumsum(~is_space & np.concatenate([[True], is_space[:-1]])) - 1
        ends = [end - 1 for _, end in self.tokenizer.encode(text, add_special_tokens=False).offsets]
        return np.bincount(np.clip(words[ends], 0, None), minlength=len(text.split())).tolist() if ends else []

    def image_id(self, code: int) -> int:
        """Row of an image code."""
        return self.num_text_ids + code


def train_vocabulary(texts: Iterable[str], *, num_text_ids: int, num_image_codes: int) -> Vocabulary:
    """A byte-level BPE of `num_text_ids` rows, learned from `texts`.

    Any text can be encoded: the 256 bytes are in it. Digits stand alone, so that numbers compose.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(r"\d|\s?\p{L}+|\s?[^\s\p{L}\d]|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    reserved = [f"<reserved_{idx}>" for idx in range(len(CONTROL_TOKENS), NUM_CONTROL_ROWS)]
    trainer = trainers.BpeTrainer(
        vocab_size=num_text_ids,  # type: ignore[call-arg]
        special_tokens=[*CONTROL_TOKENS, *reserved],  # type: ignore[call-arg]
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # type: ignore[call-arg]
        show_progress=False,  # type: ignore[call-arg]
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.encode_special_tokens = True
    return Vocabulary(tokenizer=tokenizer, num_text_ids=num_text_ids, num_image_codes=num_image_codes)


VOCABULARY_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""What `save_vocabulary` writes."""


def save_vocabulary(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json` and what `AutoTokenizer` needs beside it, chat template included."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary.tokenizer,
        bos_token="<bos>",
        eos_token="<end>",
        pad_token="<pad>",
        additional_special_tokens=list(CONTROL_TOKENS),
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def load_vocabulary(folder: Path, *, num_text_ids: int, num_image_codes: int) -> Vocabulary:
    """The vocabulary beside a checkpoint.

    Raises: CheckpointError if tokenizer.json is missing or of another version.
    """
    path = folder / "tokenizer.json"
    if not path.exists():
        raise CheckpointError(
            f"{folder} has no tokenizer.json; name a checkpoint, a run or a folder of `viva train text`"
        )
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return Vocabulary(tokenizer=tokenizer, num_text_ids=num_text_ids, num_image_codes=num_image_codes)
