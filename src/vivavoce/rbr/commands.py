"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "rbr check": Command(
        "vivavoce.rbr.check_command:check", "Prove that a rule file's classes are exclusive and complete.", "rbr"
    ),
    "rbr fit": Command("vivavoce.rbr.fit_command:fit", "Fit the reward's weights on ranked completions.", "rbr"),
    "rbr fetch": Command("vivavoce.rbr.gold_command:fetch", "Get the released gold set, checked by sha256.", "rbr"),
    "rbr gold": Command("vivavoce.rbr.gold_command:gold", "Measure a grader on hand-labelled rows.", "rbr"),
    "rbr distill": Command("vivavoce.rbr.distill_command:distill", "Train a grader that runs in a millisecond.", "rbr"),
    "rbr synth": Command("vivavoce.rbr.synth_command:synth", "Make ranked completions to fit and fine-tune on.", "rbr"),
    "rbr audit": Command(
        "vivavoce.rbr.audit_command:audit", "Error rates and plots of a reward before any training.", "rbr"
    ),
    "rbr train": Command("vivavoce.rbr.train_command:train", "Train a model with the reward (GRPO or RLOO).", "rbr"),
    "rbr eval": Command("vivavoce.rbr.train_command:evaluate", "Judge a model: safe, not over-refusing, able.", "rbr"),
}
