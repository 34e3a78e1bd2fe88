"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "train omni": Command(
        "vivavoce.omni.training.train_command:train", "train the trunk on the small world", extra="train"
    ),
    "train pack": Command("vivavoce.omni.training.train_command:pack", "write a checkpoint from a run's newest state"),
    "train image": Command(
        "vivavoce.omni.images.image_command:train_command", "train the image tokenizer on drawn scenes", extra="train"
    ),
    "train judge": Command("vivavoce.omni.judges.judge_command:train_command", "train the judge of drawings"),
    "train codec": Command(
        "vivavoce.omni.codec.codec_command:train_command", "train the speech codec on one clean voice", extra="train"
    ),
    "eval codec": Command(
        "vivavoce.omni.codec.codec_command:eval_command", "compare the speech codec with the original", extra="judges"
    ),
    "eval images": Command("vivavoce.omni.images.image_command:eval_command", "measure an image tokenizer"),
    "eval judge": Command("vivavoce.omni.judges.judge_command:eval_command", "measure the judge of drawings"),
}
