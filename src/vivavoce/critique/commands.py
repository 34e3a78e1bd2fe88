"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {}

_STUDY = "vivavoce.critique.study.study_command"
STUDY_COMMANDS: dict[str, Command] = {
    "study plan": Command(f"{_STUDY}:write_plan", "write the template of a preregistration", "critique"),
    "study create": Command(f"{_STUDY}:create", "create a study over the answers in a store", "critique"),
    "study demo": Command(f"{_STUDY}:demo", "create a small study over invented texts, to try the pages", "critique"),
    "study invite": Command(
        f"{_STUDY}:invite", "make personal links for labellers, second raters, administrators", "critique"
    ),
    "study serve": Command(f"{_STUDY}:serve", "serve a study's pages", "critique"),
    "study export": Command(f"{_STUDY}:export", "write a study's files, in the release's format too", "critique"),
}
_ANALYSIS = "vivavoce.critique.analysis.analysis_command"
STUDY_COMMANDS |= {
    "study analyse": Command(f"{_ANALYSIS}:analyse", "analyse a study; write a one-file report", "critique"),
    "study power": Command(f"{_ANALYSIS}:power", "how many answers a study needs", "critique"),
    "study simulate": Command(
        f"{_ANALYSIS}:simulate", "simulated studies: coverage and power of the analysis", "critique"
    ),
}
COMMANDS.update(STUDY_COMMANDS)
