"""Is this port ours to take, and if not, whose is it?"""

from __future__ import annotations

import errno
import socket

import psutil

from .parts import ProcessError


class PortInUseError(ProcessError):
    """Someone listens there already; the message names the port, its setting and a free one."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now. Whoever needs it should bind it soon."""
    with _socket_for(host) as trial:
        trial.bind((host, 0))
        return int(trial.getsockname()[1])


def require_port(host: str, port: int, setting: str = "AUTOREPOST_PORT") -> None:
    """Raise before anything is started, not in the log of the third process."""
    with _socket_for(host) as trial:
        # As servers do: connections of an earlier life in TIME_WAIT do not count.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise _in_words(error, host, port, setting) from error


def _socket_for(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)


def _in_words(error: OSError, host: str, port: int, setting: str) -> ProcessError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"Port {port} on {host} is already in use{_by_whom(port)}. Stop that program, or choose another port: "
            f"{setting}={free_port(host)}"
        )
    if error.errno == errno.EACCES:
        return ProcessError(f"Port {port} needs more rights than you have. Choose one above 1023 with {setting}.")
    return ProcessError(f"Cannot listen on {host} port {port}: {error.strerror or error}. Check AUTOREPOST_HOST.")


def _by_whom(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and tuple(connection.laddr)[1] == port:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:  # macOS tells only root
        pass
    return ""
