"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "serve": Command(
        "vivavoce.serve.serve_command:serve", "Serve a model: realtime API, HTTP API and a page to talk", "serve"
    ),
    "bench latency": Command(
        "vivavoce.serve.bench_command:bench_latency", "Measure the wait from end of question to first sound", "serve"
    ),
    "bench load": Command(
        "vivavoce.serve.bench_command:bench_load", "Find how many can talk at once without a gap", "serve"
    ),
    "eval guards": Command(
        "vivavoce.serve.guards_command:eval_guards", "Measure the guards on their labelled sets", "serve"
    ),
}
