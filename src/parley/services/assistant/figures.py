"""The assistant's figures. No label names a room or a user."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Figures:
    """One server's, each bound once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.running = Gauge("parley_assistant_running", "Answers under way", registry=registry)
        self.waiting = Gauge("parley_assistant_waiting", "Questions in the line", registry=registry)
        self.answers = Counter("parley_assistant_answers_total", "Answers ended", ["status"], registry=registry)
        self.refused = Counter("parley_assistant_refused_total", "Questions refused", ["reason"], registry=registry)
        self.failures = Counter("parley_assistant_failures_total", "Failed requests", ["kind"], registry=registry)
        self.tokens = Counter(
            "parley_assistant_tokens_total", "Tokens, counted by the provider or estimated", ["of"], registry=registry
        )
