"""What the server counts, for Prometheus and for `/healthz`. One registry per server, so that tests can have several."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_STEP_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1.0)
_WAIT_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.32, 0.5, 0.8, 1.2, 2.0, 5.0)


class Metrics:
    """Counters and histograms; times in seconds."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.sessions = Gauge("vivavoce_sessions", "Realtime sessions open", registry=registry)
        self.sessions_total = Counter("vivavoce_sessions_opened", "Realtime sessions opened", registry=registry)
        self.refused = Counter("vivavoce_refused", "Sessions and answers refused", ["reason"], registry=registry)
        self.slots = Gauge("vivavoce_slots", "Conversations the engine can hold at once", registry=registry)
        self.answers = Gauge("vivavoce_answers", "Answers being made", registry=registry)
        self.answers_total = Counter(
            "vivavoce_answers_made", "Answers made, by how they ended", ["end"], registry=registry
        )
        self.steps = Counter("vivavoce_clock_steps", "Clock steps of 80 ms, over all slots", registry=registry)
        self.step_s = Histogram(
            "vivavoce_step_seconds", "One batch of clock steps", registry=registry, buckets=_STEP_BUCKETS
        )
        self.first_sound_step_s = Histogram(
            "vivavoce_first_sound_step_seconds",
            "The clock step in which an utterance began",
            registry=registry,
            buckets=_STEP_BUCKETS,
        )
        self.early_tries = Counter(
            "vivavoce_early_tries", "Clock steps tried before their sound was complete", registry=registry
        )
        self.early_starts = Counter("vivavoce_early_starts", "Turns taken in one of them", registry=registry)
        self.lateness_s = Histogram(
            "vivavoce_lateness_seconds",
            "How late the oldest due slot was stepped",
            registry=registry,
            buckets=_WAIT_BUCKETS,
        )
        self.responses = Counter("vivavoce_responses", "Realtime responses, by status", ["status"], registry=registry)
        self.errors = Counter("vivavoce_client_errors", "Error events sent, by code", ["code"], registry=registry)
        self.findings = Counter(
            "vivavoce_guard_findings", "What guards found", ["guard", "category"], registry=registry
        )
        self.engine_failures = Counter("vivavoce_engine_failures", "Steps that raised", registry=registry)
        self.http = Counter("vivavoce_http_requests", "HTTP requests", ["path", "status"], registry=registry)

    def note_event(self, event: dict) -> None:
        """Count a server event of a realtime session."""
        if event["type"] == "response.done":
            self.responses.labels(event["response"]["status"]).inc()
        elif event["type"] == "error":
            self.errors.labels(event["error"]["code"] or "none").inc()

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
