"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

_DATA = "vivavoce.critique.data_command"
_WORK = "vivavoce.critique.work_command"
COMMANDS: dict[str, Command] = {
    "critique fetch": Command(f"{_DATA}:fetch", "get public sets by address and sha256", "critique"),
    "critique import": Command(f"{_DATA}:import_", "read a set into the store", "critique"),
    "critique synthesise": Command(f"{_DATA}:synthesise", "write synthetic problems into the store", "critique"),
    "critique show": Command(f"{_DATA}:show", "count what a store holds", "critique"),
    "critique train": Command(
        "vivavoce.critique.train_command:train_critic", "train a model on the joint tasks", "critique"
    ),
    "critique criticise": Command(f"{_WORK}:criticise", "write a model's best critiques into the store", "critique"),
    "critique rank": Command(f"{_WORK}:rank", "compare the helpfulness ranker with trivial ones", "critique"),
    "critique refine": Command(f"{_WORK}:refine", "compare ways of refining answers", "critique"),
    "critique matrix": Command(f"{_WORK}:matrix", "cross critics with authors", "critique"),
    "critique planted": Command(f"{_WORK}:planted", "find planted flaws, against baselines", "critique"),
    "critique gdc": Command(
        "vivavoce.critique.gdc_command:gdc", "measure generator, discriminator and critique gaps", "critique"
    ),
}

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
