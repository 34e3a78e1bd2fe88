"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {}
