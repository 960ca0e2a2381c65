"""The sockets that a server listens on, opened before anything else is begun."""

import socket

from parley.settings import Settings

BACKLOG = 4096


def listen(settings: Settings) -> list[socket.socket]:
    """Open every listener. Raises OSError, naming the address."""
    addresses = [(settings.server.host, settings.server.port)]
    for row in settings.server.listen:
        name, _, number = row.rpartition(":")
        addresses.append((name.strip("[]"), int(number)))
    sockets: list[socket.socket] = []
    for host, port in addresses:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            listener = socket.socket(family[0], socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(family[4])
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        sockets.append(listener)
    return sockets
