"""The commands of this room."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "card run": Command("vivavoce.card.card_command:run", "examine a model in text and in speech", extra="card"),
    "card report": Command("vivavoce.card.card_command:report", "render the card of a run", extra="card"),
    "card gate": Command("vivavoce.card.card_command:decide", "exit 0 only where deployment is allowed", extra="card"),
    "card diff": Command("vivavoce.card.card_command:diff", "what changed between two runs, paired by item", extra="card"),
    "card list": Command("vivavoce.card.card_command:show", "evaluations, and what each does not show", extra="card"),
    "card fetch": Command("vivavoce.card.card_command:fetch", "download public sets by address and sha256", extra="card"),
    "card import": Command("vivavoce.card.card_command:import_result", "add a result of people to a run", extra="card"),
    "card agreement": Command("vivavoce.card.card_command:agreement", "graders against gold labels", extra="card"),
    "card redteam": Command("vivavoce.card.redteam_command:serve", "a page to talk to a model and tag what is found", extra="card"),
    "card items": Command("vivavoce.card.redteam_command:export", "turn red-team findings into evaluation items", extra="card"),
}  # fmt: skip
