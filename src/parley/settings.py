"""Every setting: one row each, typed, defaulted, explained. `parley config --docs` makes docs/configure.md of them.

`Settings()` is the defaults and reads nothing; `configuration.load` reads the flags, the environment and the file.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from parley.addresses import scheme_of, wrong_with
from parley.services.policy import parse_origin


def _from_text(value: Any) -> Any:
    """In the environment a list is written `a, b`."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _origin(value: str) -> str:
    if parse_origin(value) is None:
        raise ValueError("an origin such as https://chat.example.org is wanted, without a path; '*' is not possible")
    return value


def _proxy(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


def _listener(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("HOST:PORT is wanted")
    return value


Listener = Annotated[str, AfterValidator(_listener)]
Proxy = Annotated[str, AfterValidator(_proxy)]
Origin = Annotated[str, AfterValidator(_origin)]
Dialect = Literal["lobby", "direct", "room", "kama"]
Role = Literal["gateway", "appender"]
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
OrUnlimited = Annotated[int, Field(ge=0)]
Many = (BeforeValidator(_from_text), NoDecode)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """Where the server listens and where it keeps its data."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on. `0.0.0.0` takes connections from everywhere."
    )
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one, which is printed.")
    listen: Annotated[list[Listener], *Many] = Field(
        [], description="Further addresses to listen on, each `HOST:PORT`."
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]*[^\s?#/])?$",
        description="How clients reach this server, such as `https://chat.example.org`: links to files in older"
        " clients' frames begin with it. Empty: they begin with `/`.",
    )
    data: Path = Field(
        Path("data"), description="Folder of the database, the files and the signing key. One server at a time."
    )
    trusted_proxies: Annotated[list[Proxy], *Many] = Field(
        [], description="Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve these addresses. More than one wants a shared database."
    )
    worker_port: Port = Field(
        0,
        description="With workers: worker n also listens on 127.0.0.1 at this port + n, for its own `/metrics` and "
        "`/readyz`; on the shared address they are those of whichever worker answers. 0: it does not.",
    )
    roles: Annotated[list[Role], Field(min_length=1), *Many] = Field(
        ["gateway", "appender"],
        description='With `[log] kind = "kafka"`: what this process does. `gateway` serves clients, `appender` brings '
        "commands from the topic into the database and answers only `/healthz`, `/readyz` and `/metrics`.",
    )
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve TLS without a proxy.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of `tls_cert`.")

    @field_validator("tls_key")
    @classmethod
    def _both(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("tls_cert") is None):
            raise ValueError("tls_cert and tls_key are wanted both, or neither")
        return value

    @field_validator("host")
    @classmethod
    def _bare(cls, value: str) -> str:
        if value != value.strip() or "/" in value:
            raise ValueError("an address or a host name is wanted")
        return value


class Auth(Section):
    """Accounts and who may talk to the server."""

    registration: Literal["open", "invite", "closed"] = Field(
        "open",
        description="Who may make an account: everybody, holders of an invite, nobody. The first always can be made.",
    )
    guests: Literal["local", "everywhere", "never"] = Field(
        "local",
        description="Where the older dialects let guests in without an account; `local`: from this machine only.",
    )
    access_minutes: Positive = Field(
        15, le=1440, description="How long an access token is good. Clients refresh by themselves."
    )
    allowed_origins: Annotated[list[Origin], *Many] = Field(
        [],
        description="Other web origins whose pages may use this server (CORS and WebSocket alike). Its own always is.",
    )
    signing_key_file: Path | None = Field(
        None,
        description="Key that signs tokens, 32 bytes or more. Not set: `<data>/signing.key`, made on first start.",
    )


class Store(Section):
    """The database."""

    url: str = Field("", description="SQLAlchemy address of the database. Empty: `sqlite:///<data>/parley.db`.")
    durability: Literal["checked", "unchecked"] = Field(
        "checked",
        description="`checked`: refuse a shared database whose settings may lose what it committed. `unchecked`: warn.",
    )


class Log(Section):
    """How changes get into the database."""

    kind: Literal["direct", "kafka"] = Field(
        "direct", description="`direct`: batched in this process; `kafka`: through a topic."
    )


class Kafka(Section):
    """Only with `[log] kind = "kafka"`, or to stream what was stored."""

    bootstrap: str = Field("", description="Brokers, `HOST:PORT` separated by commas.")
    commands: str = Field("parley.commands", min_length=1, description="Topic of the commands, keyed by conversation.")
    results: str = Field("parley.results", min_length=1, description="Topic of the answers, one partition a gateway.")
    stream: str = Field("", description="Topic that gets every stored entry. Empty: none.")
    replicas: Positive = Field(
        3,
        description="On how many brokers a topic must be at least. 1 means that a lost broker loses what waits in it.",
    )
    partitions: Positive = Field(
        12,
        le=1000,
        description="Partitions of a topic that `parley migrate` makes. Not to be changed while it is used.",
    )


class Redis(Section):
    """For more than one node: fan-out, presence, tickets and limits."""

    url: str = Field("", description="`redis://…` or `rediss://…`. Empty: kept in this process.")
    prefix: str = Field(
        "parley",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9:._-]+$",
        description="What the names of keys and channels begin with. Each server on a shared Redis needs its own; "
        "channels do not know database numbers.",
    )


class Blobs(Section):
    """Where uploaded files lie."""

    url: str = Field(
        "",
        description="A folder, or `s3://BUCKET/PREFIX?endpoint=https://…&region=…` with the credentials in the"
        " environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`). Empty: `<data>/files`.",
    )
    staging: Path | None = Field(
        None,
        description="Folder for uploads that are not complete. Several nodes take up each other's uploads if it is one"
        " that they share. Not set: `<data>/uploads`.",
    )
    strip_location: bool = Field(
        True,
        description="Remove from pictures what cameras write into them (place, time, device), but how to turn them.",
    )


class Assistant(Section):
    """An AI that answers in conversations, at any endpoint of the OpenAI kind."""

    base_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Its address, such as `https://api.example.org/v1`. Empty: no assistant.",
    )
    api_key: SecretStr = Field(SecretStr(""), description="Its key. Better given by the environment than in a file.")
    api_key_file: Path | None = Field(None, description="A file with nothing but the key. Not together with `api_key`.")
    model: str = Field("", validate_default=True, description="Name of the model. Wanted with `base_url`.")
    temperature: float = Field(0.7, ge=0, le=2, description="How freely it words its answers.")
    max_tokens: Positive = Field(2048, description="Length of an answer at most.")
    timeout_s: float = Field(30.0, gt=0, description="Seconds without a word after which an answer is given up.")
    name: str = Field(
        "",
        max_length=64,
        validate_default=True,
        description="What it is called in conversations. Empty: `豆包AI` at Volcengine Ark, `AI` elsewhere.",
    )
    system_prompt: str = Field(
        "", max_length=8000, description="What it is told about itself before every question. Empty: a plain one."
    )
    context_tokens: int = Field(
        8000, ge=512, description="How much of a conversation it is shown, in tokens, by a cautious estimate."
    )
    running: Positive = Field(8, description="Answers at once.")
    running_per_room: Positive = Field(2, description="Answers at once in one conversation.")
    running_per_user: Positive = Field(2, description="Answers at once to one user.")
    waiting: Positive = Field(200, description="Questions that may wait; the next one is refused.")
    waiting_per_user: Positive = Field(10, description="Questions of one user that may wait.")
    requests_per_day: OrUnlimited = Field(200, description="Questions of one user a day. 0: unlimited.")
    tokens_per_day: OrUnlimited = Field(
        500_000, description="Tokens of one user a day, what it is shown counted too. 0: unlimited."
    )
    memory_days: Positive = Field(30, description="How long a private conversation over HTTP is kept unused.")

    @field_validator("api_key_file")
    @classmethod
    def _one_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        key = info.data.get("api_key")
        if value is not None and key is not None and key.get_secret_value():
            raise ValueError("one of api_key and api_key_file is wanted, not both")
        return value

    @field_validator("model")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("base_url"):
            raise ValueError("the name of a model is wanted with base_url")
        return value

    @field_validator("name")
    @classmethod
    def _called(cls, value: str, info: ValidationInfo) -> str:
        if value.strip():
            return value.strip()
        return ARK_NAME if _is_ark(info.data.get("base_url", "")) else "AI"


ARK_NAME = "豆包AI"


def _is_ark(base_url: str) -> bool:
    """Volcengine Ark, whose model is known by a name of its own: `https://ark.cn-beijing.volces.com/api/v3`."""
    parts = urlsplit(base_url)
    return (parts.hostname or "").endswith(".volces.com") and parts.path.rstrip("/").endswith("/api/v3")


class Bots(Section):
    """Accounts of programs, and webhooks."""

    create: Literal["admin", "everyone"] = Field(
        "admin", description="Who may make bots: administrators, or every user."
    )
    per_owner: Positive = Field(20, description="Bots of one owner.")
    requests_per_minute: Positive = Field(600, description="HTTP requests of one token of a bot.")
    webhooks_per_conversation: Positive = Field(20, description="Webhooks of one conversation.")
    posts_per_minute: Positive = Field(60, description="Messages of one webhook.")


class Kama(Section):
    """The kama dialect's variants."""

    text_type: int = Field(
        1, ge=0, le=1, description="The number that stands for a text message in this variant of the clients."
    )
    trust_client_id: bool = Field(False, description="Believe `client_id` without a token, for local requests only.")


class Compat(Section):
    """Doors for older clients."""

    enabled: Annotated[list[Dialect], *Many] = Field(
        ["lobby", "direct", "room", "kama"], description="Dialects that are spoken."
    )
    token_hours: Positive = Field(168, description="How long a legacy token is good.")
    link_hours: Positive = Field(24, description="How long a link to a file in a legacy frame is good.")
    kama: Kama = Field(default_factory=Kama)


class Limits(Section):
    """Bounds on what clients can make the server hold or do. In the rows that say so, 0 means unlimited."""

    frame_bytes: int = Field(
        65_536, ge=1024, description="Largest WebSocket message from a client; a larger one closes with 1009."
    )
    text_chars: Positive = Field(8000, description="Longest text of a message.")
    queue_frames: int = Field(
        256, ge=8, description="Frames that may wait for a slow socket; one more closes it with 4001."
    )
    queue_bytes: int = Field(1_048_576, ge=65_536, description="Bytes that may wait for a slow socket.")
    connections: OrUnlimited = Field(
        15_000, description="Sockets in all. The start warns if the process may not open that many files. 0: unlimited."
    )
    connections_per_user: OrUnlimited = Field(50, description="Sockets of one account. 0: unlimited.")
    connections_per_address: OrUnlimited = Field(
        1000, description="Sockets from one address (IPv6: one /64). Loopback addresses are not counted. 0: unlimited."
    )
    messages_per_second: float = Field(
        50.0, ge=0, description="Commands a connection may send in the long run. 0: unlimited."
    )
    burst: Positive = Field(200, description="Commands a connection may send at once before that rate counts.")
    rooms: OrUnlimited = Field(10_000, description="Rooms on the server. 0: unlimited.")
    upload_bytes: OrUnlimited = Field(104_857_600, description="Largest file. 0: unlimited.")
    quota_bytes: OrUnlimited = Field(10_737_418_240, description="All files of one account together. 0: unlimited.")
    server_quota_bytes: OrUnlimited = Field(0, description="All files of this server together. 0: unlimited.")
    upload_hours: Positive = Field(
        24, description="How long an upload may rest before it is swept, and a complete one that no message holds."
    )


class Heartbeat(Section):
    """How dead connections are found."""

    ping_s: float = Field(25.0, gt=0, description="Seconds of silence after which the server pings.")
    silence_s: float = Field(60.0, gt=0, description="Seconds of silence after which it closes. More than `ping_s`.")

    @field_validator("silence_s")
    @classmethod
    def _longer(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("ping_s", 0):
            raise ValueError("more than ping_s is wanted")
        return value


class WebSocket(Section):
    """How sockets are served."""

    engine: Literal["picows", "sansio"] = Field("picows", description="`picows` is the fast one, `sansio` pure Python.")


class Observability(Section):
    """What the server tells about itself."""

    log_format: Literal["console", "json"] = Field("console", description="Lines for people or for programs.")
    log_file: Path | None = Field(None, description="Also log to this file.")
    rotate_mb: OrUnlimited = Field(100, description="Begin a new log file at this size and keep five. 0: never.")


class Settings(BaseSettings):
    """All sections. Frozen: nothing changes while the server runs."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", env_nested_delimiter="__", extra="forbid", frozen=True)

    server: Server = Server()
    auth: Auth = Auth()
    store: Store = Store()
    log: Log = Log()
    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    blobs: Blobs = Blobs()
    assistant: Assistant = Assistant()
    bots: Bots = Bots()
    compat: Compat = Compat()
    limits: Limits = Limits()
    heartbeat: Heartbeat = Heartbeat()
    websocket: WebSocket = WebSocket()
    observability: Observability = Observability()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: a test's settings must not depend on the machine it runs on."""
        return (init_settings,)

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{self.server.data / 'parley.db'}"

    @property
    def staging_path(self) -> Path:
        return self.blobs.staging or self.server.data / "uploads"

    @property
    def signing_key_path(self) -> Path:
        return self.auth.signing_key_file or self.server.data / "signing.key"


BOTH_ROLES = {"gateway", "appender"}
ENGINES = ("postgresql", "mysql", "mariadb")


def at_odds(settings: Settings) -> list[str]:
    """What these settings ask for and cannot have together, one sentence each. `serve` and `migrate` refuse it."""
    server, kafka = settings.server, settings.kafka
    engine = (scheme_of(settings.store_url) or "").partition("+")[0]
    shared = engine in ENGINES
    redis = scheme_of(settings.redis.url)
    store_wrong = wrong_with(settings.store_url) if shared else None
    redis_wrong = wrong_with(settings.redis.url, numbered=True) if redis in {"redis", "rediss"} else None
    topics = settings.log.kind == "kafka" or bool(kafka.stream)
    rows = {
        f"[store] url: {repr(engine) if engine else 'what is given'} is not a database that is known here; "
        "sqlite:///…, postgresql+psycopg://… or mariadb+pymysql://… is wanted": not shared and engine != "sqlite",
        "[server] workers: more than one process cannot share an SQLite file; set [store] url to PostgreSQL or MariaDB":
            engine == "sqlite" and server.workers > 1,
        "[server] roles: an SQLite file is one process's own, so that process needs both roles":
            engine == "sqlite" and set(server.roles) != BOTH_ROLES,
        "[server] roles: gateway and appender can be parted only with [log] kind = \"kafka\"":
            shared and settings.log.kind != "kafka" and set(server.roles) != BOTH_ROLES,
        "[auth] signing_key_file: every node on a shared database signs with the same key, so none makes its own; "
        "make one with `head -c 32 /dev/urandom > signing.key`, give every node the file and name it here":
            shared and settings.auth.signing_key_file is None,
        "[kafka] bootstrap: the brokers are wanted for [log] kind = \"kafka\" and for [kafka] stream":
            topics and not kafka.bootstrap,
        "[redis] url: redis://…, rediss://… or unix://… is wanted":
            bool(settings.redis.url) and redis not in {"redis", "rediss", "unix"},
        f"[store] url: {store_wrong}": store_wrong is not None,
        f"[redis] url: {redis_wrong}": redis_wrong is not None,
    }  # fmt: skip
    return [sentence for sentence, wrong in rows.items() if wrong]
