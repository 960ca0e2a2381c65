"""Log lines: events with fields, in one form, and no secrets whatever is passed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text

from parley.observability import Metrics, set_up_logging
from parley.settings import Observability

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
REFRESH = "123456789.7." + "A" * 43


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    file = tmp_path / "logs" / "parley.log"
    set_up_logging(Observability(log_format="json", log_file=file))
    yield file
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_events_and_libraries_share_one_form(log_file: Path) -> None:
    structlog.get_logger("parley.test").info("connection_closed", code=4001, sent=3)
    logging.getLogger("uvicorn.error").info('"WebSocket %s" [accepted]', "/api/v1/ws?ticket=abc")
    ours, theirs = lines(log_file)
    assert (ours["event"], ours["level"], ours["code"], ours["sent"]) == ("connection_closed", "info", 4001, 3)
    assert theirs["event"] == '"WebSocket /api/v1/ws" [accepted]'


def test_what_looks_like_a_token_is_cut_out(log_file: Path) -> None:
    """The last line of defence, for what should not have been passed."""
    structlog.get_logger("parley.test").error("mistake", token=JWT, more=f"a {REFRESH} b", url="/x?a=1&ticket=hidden")
    told = log_file.read_text()
    assert "***" in told
    assert not any(secret in told for secret in (JWT, "A" * 43, "hidden"))


def test_a_failed_statement_does_not_show_its_values(log_file: Path) -> None:
    """A traceback may be logged; the text of a message in it may not."""
    engine = create_engine("sqlite://")
    hidden = " ".join(["hidden", "text"])  # in pieces, because a traceback shows the lines of the source
    try:
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO nothing VALUES (:it)"), {"it": hidden})
    except Exception as error:
        structlog.get_logger("parley.test").exception("failed")
        structlog.get_logger("parley.test").error("failed", exc_info=error)
        logging.getLogger("uvicorn.error").exception("failed")
    engine.dispose()
    told = log_file.read_text()
    assert told.count("INSERT INTO nothing VALUES (?)") == 3
    assert hidden not in told


def test_metrics_have_a_page_of_their_own() -> None:
    """Two servers in one process do not share figures."""
    one, other = Metrics(), Metrics()
    one.healed.inc()
    assert b"parley_healed_entries_total 1.0" in one.page()
    assert b"parley_healed_entries_total 0.0" in other.page()
