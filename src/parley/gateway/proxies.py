"""A request as its client made it, where it came through a proxy whose word counts (`[server] trusted_proxies`).

uvicorn does the same for HTTP requests; an upgrade does not pass there.
"""

import ipaddress
from collections.abc import Sequence

import msgspec

from parley.gateway.handshake import UpgradeRequest

SECURE = {"http": False, "ws": False, "https": True, "wss": True}


class Proxies:
    """Addresses and networks of proxies."""

    def __init__(self, rows: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(row, strict=False) for row in rows]

    def trust(self, address: str | None) -> bool:
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)

    def seen_through(self, request: UpgradeRequest) -> UpgradeRequest:
        """From the right, each trusted proxy tells who came to it; the first that is none of ours is the client."""
        if not self.trust(request.peer):
            return request
        peer = request.peer
        for address in reversed(request.headers.get("x-forwarded-for", "").split(",")):
            if address.strip():
                peer = address.strip()
            if not self.trust(peer):
                break
        scheme = request.headers.get("x-forwarded-proto", "").strip().lower()
        return msgspec.structs.replace(request, peer=peer, secure=SECURE.get(scheme, request.secure))
