"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "train omni": Command(
        "vivavoce.omni.training.train_command:train", "train the trunk on the small world", extra="train"
    ),
    "train image": Command(
        "vivavoce.omni.images.image_command:train_command", "train the image tokenizer on drawn scenes", extra="train"
    ),
    "train judge": Command("vivavoce.omni.judges.judge_command:train_command", "train the judge of drawings"),
    "eval images": Command("vivavoce.omni.images.image_command:eval_command", "measure an image tokenizer"),
    "eval judge": Command("vivavoce.omni.judges.judge_command:eval_command", "measure the judge of drawings"),
}
