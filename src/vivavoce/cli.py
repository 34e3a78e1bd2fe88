"""The command line: `viva ROOM COMMAND`.

Each room has a torch-free `commands.py` with `COMMANDS: dict[str, Command]`; the table here is their union, so that
`viva --help` imports nothing heavy. A command's function is imported when it is called; tyro makes its flags from its
signature. An expected error is one line on standard error and exit code 2.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from vivavoce import __version__
from vivavoce.command import Command
from vivavoce.errors import MissingExtraError, VivaError

ROOMS = ("omni", "data", "rbr", "critique", "card", "serve")


def load_commands() -> dict[str, Command]:
    """Every command of every room, by its words (`"rbr fit"`)."""
    table: dict[str, Command] = {}
    for room in ROOMS:
        for name, command in importlib.import_module(f"vivavoce.{room}.commands").COMMANDS.items():
            assert name not in table, f"two rooms define `viva {name}`"
            table[name] = command
    return dict(sorted(table.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (0 good, 1 found wanting, 2 wrong use or bad input)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    table = load_commands()
    if arguments in (["--version"], ["version"]):
        print(f"vivavoce {__version__}")
        return 0
    words, rest = _split(arguments, table)
    if words not in table:
        return _show_table(words, rest, table)
    logging.basicConfig(level=os.environ.get("VIVA_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    try:
        return _call(words, table[words], rest)
    except VivaError as error:
        print(f"viva {words}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"viva {words}: interrupted", file=sys.stderr)
        return 130


def _split(arguments: list[str], table: Mapping[str, Command]) -> tuple[str, list[str]]:
    """The longest run of leading words that is a command, or else a prefix of one; and what follows."""
    for count in range(min(3, len(arguments)), 0, -1):
        words = " ".join(arguments[:count])
        if words in table or any(name.startswith(words + " ") for name in table):
            return words, arguments[count:]
    return "", arguments


def _call(words: str, command: Command, rest: list[str]) -> int:
    module_name, function_name = command.target.split(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "vivavoce":
            raise
        raise MissingExtraError(
            f"needs the package {error.name}, which is not installed; pip install 'vivavoce[{command.extra or 'all'}]'"
        ) from error
    import tyro

    result = tyro.cli(function, prog=f"viva {words}", description=command.help, args=rest)
    return int(result or 0)


def _show_table(words: str, rest: list[str], table: Mapping[str, Command]) -> int:
    is_asked = not rest or rest[0] in ("-h", "--help", "help")
    rows = {name: command for name, command in table.items() if not words or name.startswith(words + " ")}
    if not is_asked:
        print(f"viva: no command `{' '.join([words, *rest[:1]]).strip()}`; there are:", file=sys.stderr)
    out = sys.stdout if is_asked else sys.stderr
    width = max((len(name) for name in rows), default=0)
    if is_asked:
        print("usage: viva COMMAND [OPTIONS]    (viva COMMAND --help says more)\n", file=out)
    for name, command in rows.items():
        print(f"  viva {name:<{width}}  {command.help}", file=out)
    return 0 if is_asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
