"""Settings: precedence, and what a mistake in them is answered with."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parley.cli import app
from parley.configuration import BadSettings, as_docs, as_toml, load, rows, sections
from parley.settings import Auth, Kafka, Log, Redis, Server, Settings, Store, at_odds

ROOT = Path(__file__).resolve().parent.parent
SECRET = "sk-canary-1234"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder and no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("PARLEY_") and "__" in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(flags: dict[str, dict[str, Any]] | None = None) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        load(flags)
    return refused.value.problems


def test_flags_win_over_environment_over_file_over_defaults(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "parley.toml").write_text('[server]\nhost = "10.0.0.1"\nport = 1\ndata = "from-file"\n')
    monkeypatch.setenv("PARLEY_SERVER__PORT", "2")
    monkeypatch.setenv("PARLEY_SERVER__DATA", "from-environment")
    settings = load({"server": {"data": "from-flag"}})
    assert (settings.server.host, settings.server.port, settings.server.data) == ("10.0.0.1", 2, Path("from-flag"))
    assert settings.limits.text_chars == 8000


def test_the_file_may_lie_in_the_data_folder(nowhere: Path) -> None:
    (nowhere / "d").mkdir()
    (nowhere / "d" / "parley.toml").write_text("[server]\nport = 7\n")
    assert load({"server": {"data": "d"}}).server.port == 7
    assert load().server.port == 8000


def test_lists_and_nested_sections_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_AUTH__ALLOWED_ORIGINS", "https://a.example, http://b.example:81")
    monkeypatch.setenv("PARLEY_COMPAT__KAMA__TEXT_TYPE", "0")
    monkeypatch.setenv("PARLEY_CRASH_ROUNDS", "5")
    settings = load()
    assert settings.auth.allowed_origins == ["https://a.example", "http://b.example:81"]
    assert settings.compat.kama.text_type == 0


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PARLEY_SERVER__PORT", "abc", "PARLEY_SERVER__PORT: [server] port = 'abc': input should be a valid integer"),
        ("PARLEY_SERVER__PORT", "70000", "[server] port = '70000': input should be less than or equal to 65535"),
        ("PARLEY_SERVER__NOPE", "1", "PARLEY_SERVER__NOPE: [server] nope is not a setting"),
        ("PARLEY_NOPE__PORT", "1", "PARLEY_NOPE__PORT: there is no section [nope]"),
        ("PARLEY_AUTH__REGISTRATION", "maybe", "[auth] registration = 'maybe': input should be 'open', 'invite' or"),
        ("PARLEY_AUTH__ALLOWED_ORIGINS", "*", "[auth] allowed_origins = '*': an origin such as"),
        ("PARLEY_COMPAT__ENABLED", "lobby,irc", "[compat] enabled = 'irc'"),
        ("PARLEY_COMPAT__KAMA__NOPE", "1", "PARLEY_COMPAT__KAMA__NOPE: [compat.kama] nope is not a setting"),
        ("PARLEY_HEARTBEAT__SILENCE_S", "10", "[heartbeat] silence_s = '10': more than ping_s is wanted"),
        ("PARLEY_SERVER__TLS_KEY", "key.pem", "tls_cert and tls_key are wanted both"),
        ("PARLEY_SERVER__TRUSTED_PROXIES", "proxy", "[server] trusted_proxies = 'proxy'"),
        ("PARLEY_ASSISTANT", SECRET, "assistant"),
    ],
)
def test_a_mistake_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str) -> None:
    """Where it stands, what was given, what was wanted, in one line."""
    monkeypatch.setenv(name, value)
    (line,) = problems()
    assert wanted in line
    assert "\n" not in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("[server]\nprot = 1\n", "parley.toml: [server] prot is not a setting"),
        ("[sever]\nport = 1\n", "parley.toml: [sever] is not a setting"),
        (f'[assistant]\napi_key = ["{SECRET}"]\n', "[assistant] api_key = ***"),
        (f'assistant = "{SECRET}"\n', "[assistant] = ***"),
        ('[store]\nurl = 5\n[server]\nport = "x"\n', "[store] url = '5'"),
        ("[server\n", "parley.toml:"),
    ],
)
def test_a_mistake_in_the_file_is_named(nowhere: Path, content: str, wanted: str) -> None:
    (nowhere / "parley.toml").write_text(content)
    lines = problems()
    assert wanted in "\n".join(lines)
    assert SECRET not in "\n".join(lines)


def test_all_mistakes_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SERVER__PORT", "x")
    monkeypatch.setenv("PARLEY_NOPE__A", "x")
    assert len(problems({"server": {"host": ""}})) == 3


def test_a_bad_start_is_one_line_a_problem_and_code_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback."""
    monkeypatch.setenv("PARLEY_SERVER__PORT", "x")
    result = CliRunner().invoke(app, ["serve", "--config", "missing.toml"])
    assert (result.exit_code, result.output) == (2, "parley: --config missing.toml: there is no such file\n")
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output


SHARED = "postgresql+psycopg://parley:hidden@db/parley"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"STORE__URL": "oracle://parley:hidden@db/parley"}, "[store] url: 'oracle' is not a database"),
        ({"SERVER__WORKERS": "2"}, "[server] workers: more than one process cannot share an SQLite file"),
        ({"SERVER__ROLES": "appender"}, "[server] roles: an SQLite file is one process's own"),
        ({"STORE__URL": SHARED}, "[auth] signing_key_file: every node on a shared database signs with the same key"),
        (
            {"STORE__URL": SHARED, "AUTH__SIGNING_KEY_FILE": "key", "SERVER__ROLES": "gateway"},
            '[server] roles: gateway and appender can be parted only with [log] kind = "kafka"',
        ),
        ({"LOG__KIND": "kafka"}, "[kafka] bootstrap: the brokers are wanted"),
        ({"KAFKA__STREAM": "entries"}, "[kafka] bootstrap: the brokers are wanted"),
        ({"REDIS__URL": "http://:hidden@localhost"}, "[redis] url: redis://…, rediss://… or unix://… is wanted"),
    ],
)
def test_what_cannot_go_together_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: str
) -> None:
    """One sentence, which says what to do; `serve` and `migrate` alike; no password in it."""
    for name, value in given.items():
        monkeypatch.setenv(f"PARLEY_{name}", value)

    for command in ("serve", "migrate"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code == 2
        assert wanted in result.output
        assert result.output.count("\n") == 1
        assert "hidden" not in result.output


def test_settings_that_go_together_are_not_refused() -> None:
    key = {"signing_key_file": Path("key")}
    nodes = Settings(store=Store(url=SHARED), auth=Auth(**key), server=Server(workers=4), redis=Redis(url="redis://r"))
    parted = Settings(
        store=Store(url=SHARED), auth=Auth(**key), server=Server(roles=["appender"]), log=Log(kind="kafka"),
        kafka=Kafka(bootstrap="k:9092"),
    )  # fmt: skip
    alone = Settings(log=Log(kind="kafka"), kafka=Kafka(bootstrap="k:9092"))
    assert [at_odds(settings) for settings in (Settings(), nodes, parted, alone)] == [[], [], [], []]


def test_settings_are_shown_as_a_file_that_gives_them_again(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the secrets."""
    monkeypatch.setenv("PARLEY_AUTH__ALLOWED_ORIGINS", "https://a.example")
    monkeypatch.setenv("PARLEY_SERVER__DATA", 'odd "name"\\ü')
    shown = CliRunner().invoke(app, ["config"]).output
    (nowhere / "again.toml").write_text(shown)
    first = load()
    for name in ("PARLEY_AUTH__ALLOWED_ORIGINS", "PARLEY_SERVER__DATA"):
        monkeypatch.delenv(name)
    assert load(config=Path("again.toml")).model_dump() == first.model_dump()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ASSISTANT__API_KEY", SECRET)
    monkeypatch.setenv("PARLEY_STORE__URL", f"postgresql+psycopg://parley:{SECRET}@db/parley")
    shown = as_toml(load())
    assert SECRET not in shown
    assert tomllib.loads(shown)["assistant"]["api_key"] == "***"
    assert tomllib.loads(shown)["store"]["url"] == "postgresql+psycopg://parley:***@db/parley"


def test_every_setting_is_explained() -> None:
    unexplained = [
        f"{name}.{row}" for name, it in sections(Settings()) for row, field, _ in rows(it) if not field.description
    ]
    assert unexplained == []


def test_the_documentation_is_current() -> None:
    """`parley config --docs > docs/configure.md`"""
    assert (ROOT / "docs" / "configure.md").read_text() == as_docs()


def test_the_fixed_names_are_there() -> None:
    """Every row of the protocol's paragraph."""
    defaults = Settings()
    assert (defaults.limits.frame_bytes, defaults.limits.queue_frames, defaults.limits.queue_bytes) == (
        65536,
        256,
        1048576,
    )
    assert (defaults.heartbeat.ping_s, defaults.heartbeat.silence_s) == (25, 60)
    assert defaults.compat.enabled == ["lobby", "direct", "room", "kama"]
    assert defaults.store_url == "sqlite:///data/parley.db"
