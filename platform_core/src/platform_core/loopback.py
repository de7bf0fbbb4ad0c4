"""Ports of this machine's loopback address, the only one that the platform's own servers listen on."""

from __future__ import annotations

import socket
from collections.abc import Iterable

HOST = "127.0.0.1"


def free_port(wanted: Iterable[int] = ()) -> int:
    """The first of the wanted ports that nobody listens on, else one that the system chooses."""
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a server accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
