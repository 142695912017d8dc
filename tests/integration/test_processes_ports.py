"""Is a taken port refused before anything starts, in words that help?"""

from __future__ import annotations

import os
import re
import socket

import pytest

from autorepost_app.processes import PortInUseError, ProcessError, free_port, require_port


def test_a_free_port_can_be_taken() -> None:
    port = free_port()
    require_port("127.0.0.1", port)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))


def test_a_taken_port_is_named_with_its_owner_its_setting_and_a_free_one() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            require_port("127.0.0.1", port, "AUTOREPOST_PORT")
    message = str(caught.value)
    assert f"Port {port} on 127.0.0.1 is already in use by " in message
    assert f"(process {os.getpid()})" in message
    suggested = re.search(r"AUTOREPOST_PORT=(\d+)$", message)
    assert suggested is not None
    require_port("127.0.0.1", int(suggested[1]))


def test_a_port_closed_a_moment_ago_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server program does
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0] as accepted:
            accepted.shutdown(socket.SHUT_RDWR)  # our side closes first and is left in TIME_WAIT
    require_port("127.0.0.1", port)


def test_an_address_of_another_machine_names_the_setting() -> None:
    with pytest.raises(ProcessError, match=r"Cannot listen on 192\.0\.2\.1 .*AUTOREPOST_HOST"):
        require_port("192.0.2.1", free_port())
