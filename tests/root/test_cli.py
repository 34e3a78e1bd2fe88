"""The command line: instant help, one line an error, exit code 2."""

import subprocess
import sys

import pytest

from vivavoce import cli
from vivavoce.command import Command
from vivavoce.errors import ConfigError


def refuse(*, rate: float = 0.5) -> None:
    raise ConfigError(f"rate is {rate};\n  need less")


def answer(*, code: int = 0) -> int:
    return code


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {
        "try refuse": Command(f"{__name__}:refuse", "always refuses"),
        "try answer": Command(f"{__name__}:answer", "answers with a code"),
        "try absent": Command("no_such_package_anywhere:main", "lacks a package", "card"),
    }
    monkeypatch.setattr(cli, "load_commands", lambda: commands)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_every_command_of_every_room_can_be_imported() -> None:
    import importlib

    for name, command in cli.load_commands().items():
        module, function = command.target.split(":")
        assert callable(getattr(importlib.import_module(module), function)), name
        assert command.help
        assert command.help[0].islower() or command.help[0].isupper(), name


def test_help_lists_commands_and_exits_0(table: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "viva try refuse  always refuses" in capsys.readouterr().out
    assert cli.main(["try"]) == 0
    assert "try answer" in capsys.readouterr().out


def test_an_unknown_command_shows_what_there_is(table: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["try", "nonsense"]) == 2
    assert "no command `try nonsense`" in capsys.readouterr().err
    assert cli.main(["nonsense"]) == 2


def test_an_expected_error_is_one_line_and_code_2(table: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["try", "refuse", "--rate", "0.7"]) == 2
    assert capsys.readouterr().err == "viva try refuse: rate is 0.7; need less\n"


def test_the_functions_code_is_the_exit_code(table: None) -> None:
    assert cli.main(["try", "answer", "--code", "1"]) == 1
    assert cli.main(["try", "answer"]) == 0


def test_a_wrong_flag_exits_2(table: None) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["try", "answer", "--colour", "red"])
    assert stopped.value.code == 2


def test_a_missing_package_names_its_extra(table: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["try", "absent"]) == 2
    assert "pip install 'vivavoce[card]'" in capsys.readouterr().err


def test_version_and_help_load_nothing_heavy() -> None:
    program = "import sys; from vivavoce.cli import main; main(['--help']); print([m for m in ('torch', 'numpy', 'tyro') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
