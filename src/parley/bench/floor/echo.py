"""The least a server can do: answer BYTES for every REQUEST bytes, on one socket, until it is closed. Prints its port.

`echo.py REQUEST BYTES`
"""

from __future__ import annotations

import socket
import sys


def main(request: int, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        listener.settimeout(60.0)
        sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        waiting = 0
        while got := sock.recv(65_536):
            waiting += len(got)
            while waiting >= request:
                waiting -= request
                sock.sendall(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), b"x" * int(sys.argv[2]))
