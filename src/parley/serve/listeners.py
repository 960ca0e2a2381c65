"""The sockets that a server listens on, opened before anything else is begun."""

import socket
from collections.abc import Iterator, Sequence

from parley.settings import Settings

BACKLOG = 4096


def listen(settings: Settings) -> list[socket.socket]:
    """Open every listener. Raises OSError, naming the address."""
    wanted = [(settings.server.host, settings.server.port)]
    for row in settings.server.listen:
        name, _, number = row.rpartition(":")
        wanted.append((name.strip("[]"), int(number)))
    listeners: list[socket.socket] = []
    try:
        for host, port in wanted:
            listeners.append(open_listener(host, port))
    except OSError:
        for opened in listeners:
            opened.close()
        raise
    return listeners


def open_listener(host: str, port: int) -> socket.socket:
    """Raises OSError, naming the address."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(family[4])
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def addresses(settings: Settings, listeners: Sequence[socket.socket]) -> Iterator[str]:
    """As one types them into a browser."""
    scheme = "https" if settings.server.tls_cert else "http"
    for listener in listeners:
        name, port = listener.getsockname()[:2]
        host = str(name)
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
