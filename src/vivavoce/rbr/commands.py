"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "rbr check": Command(
        "vivavoce.rbr.check_command:check", "Prove that a rule file's classes are exclusive and complete.", "rbr"
    ),
    "rbr fit": Command("vivavoce.rbr.fit_command:fit", "Fit the reward's weights on ranked completions.", "rbr"),
}
