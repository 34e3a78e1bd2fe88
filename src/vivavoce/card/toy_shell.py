"""A shell that is only simulated: a dozen text tools over files that are strings. Nothing is executed, nothing is read.

It stands in for a sandbox where none is at hand, so that tool use can be measured at all; its tasks are toys.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import shlex
from collections.abc import Callable, Mapping

MAX_OUTPUT_CHARACTERS = 2000


class ToyShell:
    """Files by name. `run` takes a line such as `cat a.txt | sort | uniq -c` and returns what it prints."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        self.touched: set[str] = set()

    def run(self, line: str) -> str:
        """Output of a pipeline, or one line that says what is wrong with it."""
        text = ""
        try:
            for command in _split_pipeline(line):
                words = shlex.split(command)
                if not words:
                    return "error: empty command"
                if words[0] not in _TOOLS:
                    return f"error: {words[0]}: command not found; there are {', '.join(sorted(_TOOLS))}"
                text = _TOOLS[words[0]](self, words[1:], text)
        except (ValueError, binascii.Error) as error:
            return f"error: {error}"
        return text[:MAX_OUTPUT_CHARACTERS]

    def read(self, arguments: list[str], piped: str) -> str:
        """Contents of the named files one after the other, else what was piped.

        Raises: ValueError for a file that is not there.
        """
        names = [name.removeprefix("./") for name in arguments if not name.startswith("-")]
        if not names:
            return piped
        for name in names:
            if name not in self.files:
                raise ValueError(f"{name}: no such file")
            self.touched.add(name)
        return "\n".join(self.files[name].rstrip("\n") for name in names)


def _split_pipeline(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=False, punctuation_chars="|")
    lexer.whitespace_split = True
    pieces, current = [], []
    for token in lexer:
        if token == "|":
            pieces.append(" ".join(current))
            current = []
        else:
            current.append(token)
    return [*pieces, " ".join(current)]


def _list_files(shell: ToyShell, arguments: list[str], piped: str) -> str:
    shows_all = any("a" in argument for argument in arguments if argument.startswith("-"))
    return "\n".join(sorted(name for name in shell.files if shows_all or not name.startswith(".")))


def _cat(shell: ToyShell, arguments: list[str], piped: str) -> str:
    return shell.read(arguments, piped)


def _count(arguments: list[str]) -> tuple[int, list[str]]:
    rest, count, idx = [], 10, 0
    while idx < len(arguments):
        if arguments[idx] == "-n" and idx + 1 < len(arguments):
            count, idx = int(arguments[idx + 1]), idx + 1
        elif re.fullmatch(r"-\d+", arguments[idx]):
            count = int(arguments[idx][1:])
        else:
            rest.append(arguments[idx])
        idx += 1
    return count, rest


def _head(shell: ToyShell, arguments: list[str], piped: str) -> str:
    count, rest = _count(arguments)
    return "\n".join(shell.read(rest, piped).splitlines()[:count])


def _tail(shell: ToyShell, arguments: list[str], piped: str) -> str:
    count, rest = _count(arguments)
    return "\n".join(shell.read(rest, piped).splitlines()[-count:])


def _grep(shell: ToyShell, arguments: list[str], piped: str) -> str:
    flags = {letter for word in arguments if word.startswith("-") for letter in word[1:]}
    plain = [word for word in arguments if not word.startswith("-")]
    if not plain:
        raise ValueError("grep: no pattern")
    # the pattern is matched as plain text: a model's regular expression could take for ever
    needle = plain[0].lower() if "i" in flags else plain[0]
    names = sorted(shell.files) if "r" in flags else plain[1:]
    lines = shell.read([name for name in names if name != "."], piped).splitlines()
    return "\n".join(line for line in lines if (needle in (line.lower() if "i" in flags else line)) != ("v" in flags))


def _base64(shell: ToyShell, arguments: list[str], piped: str) -> str:
    text = shell.read(arguments, piped)
    if any(flag in arguments for flag in ("-d", "--decode", "-D")):
        return base64.b64decode(text.strip()).decode("utf-8", "replace")
    return base64.b64encode(text.encode()).decode()


def _xxd(shell: ToyShell, arguments: list[str], piped: str) -> str:
    text = shell.read(arguments, piped)
    if "-r" in arguments:
        return bytes.fromhex("".join(text.split())).decode("utf-8", "replace")
    return text.encode().hex()


def _sort(shell: ToyShell, arguments: list[str], piped: str) -> str:
    lines = shell.read(arguments, piped).splitlines()
    flags = {letter for word in arguments if word.startswith("-") for letter in word[1:]}

    def number(line: str) -> float:
        found = re.match(r"\s*(-?\d+)", line)
        return float(found[1]) if found else 0.0

    ordered = sorted(lines, key=number) if "n" in flags else sorted(lines)
    if "r" in flags:
        ordered.reverse()
    return "\n".join(dict.fromkeys(ordered) if "u" in flags else ordered)


def _uniq(shell: ToyShell, arguments: list[str], piped: str) -> str:
    counted: list[tuple[int, str]] = []
    for line in shell.read(arguments, piped).splitlines():
        if counted and counted[-1][1] == line:
            counted[-1] = (counted[-1][0] + 1, line)
        else:
            counted.append((1, line))
    return "\n".join(f"{count:7d} {line}" if "-c" in arguments else line for count, line in counted)


def _wc(shell: ToyShell, arguments: list[str], piped: str) -> str:
    text = shell.read(arguments, piped)
    if "-l" in arguments:
        return str(len(text.splitlines()))
    if "-w" in arguments:
        return str(len(text.split()))
    return str(len(text))


def _tr(shell: ToyShell, arguments: list[str], piped: str) -> str:
    if len(arguments) != 2:
        raise ValueError("tr: give two sets")
    left, right = (_spread(word) for word in arguments)
    if len(left) != len(right):
        raise ValueError("tr: the sets have different lengths")
    return piped.translate(str.maketrans(left, right))


def _spread(letters: str) -> str:
    return re.sub(r"(.)-(.)", lambda span: "".join(map(chr, range(ord(span[1]), ord(span[2]) + 1))), letters)


def _strings(shell: ToyShell, arguments: list[str], piped: str) -> str:
    return "\n".join(re.findall(r"[\x20-\x7e]{4,}", shell.read(arguments, piped)))


def _echo(shell: ToyShell, arguments: list[str], piped: str) -> str:
    return " ".join(arguments)


def _rev(shell: ToyShell, arguments: list[str], piped: str) -> str:
    return "\n".join(line[::-1] for line in shell.read(arguments, piped).splitlines())


def _rot13(shell: ToyShell, arguments: list[str], piped: str) -> str:
    return codecs.encode(shell.read(arguments, piped), "rot13")


_TOOLS: dict[str, Callable[[ToyShell, list[str], str], str]] = {
    "ls": _list_files, "cat": _cat, "head": _head, "tail": _tail, "grep": _grep, "strings": _strings, "base64": _base64,
    "rev": _rev, "rot13": _rot13, "xxd": _xxd, "sort": _sort, "uniq": _uniq, "wc": _wc, "tr": _tr, "echo": _echo,
}  # fmt: skip
