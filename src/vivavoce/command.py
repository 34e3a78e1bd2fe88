"""What a room says of one of its commands."""

from typing import NamedTuple


class Command(NamedTuple):
    """A row of a room's command table.

    target: `module:function`; tyro turns the function's signature into flags. It prints, and returns None or an exit code.
    help: one line. extra: the extra that brings what it imports.
    """

    target: str
    help: str
    extra: str = ""
