"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "train image": Command(
        "vivavoce.omni.images.image_command:train_command", "train the image tokenizer on drawn scenes", extra="train"
    ),
}
