"""What is allowed, decided without waiting: origins, localness, names, passwords. Pure functions of their arguments."""

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from parley.protocol.errors import ChatError, Code

LARGEST_ID = 2**63 - 1
RESERVED_NAMES = frozenset({"ai", "system", "系统", "lobby", "大厅", "everyone", "all", "here", "所有人"})
# Characters that turn the direction of text around: a name with one could pose as another.
DIRECTION_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def parse_id(text: str) -> int | None:
    """A positive 64-bit id as it stands on the wire, else None. `int()` alone would take `１２`, `1_2` and ` 12`."""
    if re.fullmatch(r"[1-9][0-9]{0,18}", text) is None:
        return None
    number = int(text)
    return number if number <= LARGEST_ID else None


# --- origins ----------------------------------------------------------------------------------------------------------


def parse_origin(text: str) -> Origin | None:
    """(scheme, host, port) of a web origin; None for anything else, `null` among it."""
    # urlsplit drops tabs and line breaks, which would make two different texts equal.
    if re.fullmatch(r"[!-~]+", text) is None:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in DEFAULT_PORTS
        or not parts.hostname
        or parts.username is not None
        or parts.password is not None
    ):
        return None
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#", "/")):
        return None
    if not re.fullmatch(r"[a-z0-9.:_-]+", parts.hostname):
        return None
    if text.rpartition("]")[2].endswith(":"):
        return None
    return parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port


def origin_allowed(origin: str | None, host: str | None, secure: bool, allowed: Iterable[str] = ()) -> bool:
    """May a page of `origin` talk to us? Scheme, host and port are compared whole, never as pieces of text.

    The same origin (`host` is our `Host` header, `secure` whether we are under TLS) always may. No Origin at all is
    answered True: such a client is not a browser. Where the cookie is the credential, ask for an Origin first.
    """
    if origin is None:
        return True
    asked = parse_origin(origin)
    if asked is None:
        return False
    if host is not None and asked == parse_origin(f"{'https' if secure else 'http'}://{host.lower()}"):
        return True
    return any(asked == parse_origin(row) for row in allowed)


# --- local ------------------------------------------------------------------------------------------------------------


def host_of(address: str) -> str:
    """The host of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`, lower case."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    if address.count(":") == 1:
        return address.partition(":")[0].lower()
    return address.lower()


def is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host in {"localhost", "localhost."}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_local(*, listeners: Iterable[str], peer: str | None, host: str | None, header_names: Iterable[str]) -> bool:
    """Is the caller certainly on this machine?

    Every listener must be loopback: through a public one, or a proxy, a stranger's request can look like one from here.
    """
    if any(
        name.startswith("x-forwarded-") or name in {"forwarded", "x-real-ip"} for name in map(str.lower, header_names)
    ):
        return False
    if host is None or not is_loopback(host_of(host)) or not is_loopback(peer):
        return False
    return all(is_loopback(host_of(listener)) for listener in listeners)


def address_key(address: str) -> str:
    """What limits by address count: an IPv6 host has a whole /64 to change within."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address)


# --- names and passwords ----------------------------------------------------------------------------------------------


def username_key(username: str) -> str:
    """Two user names with one key are one name: compatibility forms and case do not tell people apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def _in_name(char: str) -> bool:
    return char in "._-" or unicodedata.category(char)[0] in "LNM"


def check_username(username: str, reserved: Collection[str] = ()) -> str:
    """The user name as it is stored. Raises bad_payload, or username_taken for a reserved one."""
    name = unicodedata.normalize("NFC", username)
    if not 2 <= len(name) <= 32:
        raise ChatError(Code.BAD_PAYLOAD, "username: 2 to 32 characters are wanted.")
    name_key = username_key(name)
    shown = all(map(_in_name, name)) and all(map(_in_name, name_key)) and len(name_key) <= 64
    if not shown or unicodedata.category(name[0])[0] not in "LN":
        raise ChatError(
            Code.BAD_PAYLOAD, "username: letters, digits, '.', '_' and '-' are wanted, a letter or digit first."
        )
    if name_key in RESERVED_NAMES or name_key in map(username_key, reserved):
        raise ChatError(Code.USERNAME_TAKEN, "This user name is reserved.")
    return name


def check_display_name(name: str) -> str:
    shown = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(shown) <= 64:
        raise ChatError(Code.BAD_PAYLOAD, "display_name: 1 to 64 characters are wanted.")
    if any(char in DIRECTION_CONTROLS or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in shown):
        raise ChatError(Code.BAD_PAYLOAD, "display_name: control characters are not allowed.")
    return shown


def normal_password(password: str) -> str:
    """The form that is hashed: the same password typed on another system may arrive composed differently."""
    return unicodedata.normalize("NFC", password)


def check_password(password: str, field: str = "password") -> str:
    normal = normal_password(password)
    if not 8 <= len(normal) <= 256:
        raise ChatError(Code.BAD_PAYLOAD, f"{field}: 8 to 256 characters are wanted.")
    return normal
