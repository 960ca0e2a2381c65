"""Addresses of the form `scheme://user:password@host:port/name?options`: what is wrong with one, and how to show one.

Libraries read a password with a `/` or an `@` in it as part of the host or the port, and then say so in errors, with
what they took for it. So it is looked at here first, in words that repeat nothing of it.
"""

import re

PORTS = range(65_536)

_PASSWORD = re.compile(r"(://[^/@:]*:).*@", re.DOTALL)
_OPTION = re.compile(r"([?&]\w*pass\w*=)[^&]*", re.IGNORECASE)


def masked(text: str) -> str:
    """Without the password, wherever it stands. Rather too much is hidden than too little."""
    return _OPTION.sub(r"\1***", _PASSWORD.sub(r"\1***@", text))


def scheme_of(url: str) -> str | None:
    """None: it has none, and might be anything."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else None


def wrong_with(url: str, *, numbered: bool = False) -> str | None:
    """Why no library would read it as it is meant; None if nothing is. For addresses that name a host; `numbered`: what
    stands after it is a number."""
    before_options = url.partition("://")[2].partition("?")[0]
    user, at, where = before_options.rpartition("@")
    if at and re.search("[@/#]", user):
        return "in a password @, / and # are written as %40, %2F and %23"
    host, _, name = where.partition("/")
    port = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", host)
    if port is None or (port[1] and int(port[1]) not in PORTS):
        return "HOST:PORT is wanted, with a port up to 65535, and in a password / and ? are written as %2F and %3F"
    if numbered and not re.fullmatch("[0-9]*", name):
        return "the part after the host is a database's number"
    return None
