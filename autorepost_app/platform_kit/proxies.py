"""By which proxy does a connection leave this network, if by one?

The usual names are obeyed (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, in capitals or not), for every host but this
machine itself: the sandbox and whatever stands in for a platform here are reached directly.

A proxy only ever opens a tunnel for us, also for plain addresses. What comes back through a tunnel is the platform's; a
proxy that forwards single requests may answer in the platform's stead or send one twice, and neither may happen to a
request that publishes. Whatever goes wrong before the tunnel stands has sent the platform nothing.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

import httpcore

_DEFAULT_PORT: Final = 80
_ANSWER_BYTES: Final = 16_384
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*")

TimeLeft = Callable[[type[httpcore.TimeoutException]], float | None]


class ProxyFailure(httpcore.ConnectError):
    """No way out by the proxy, which the message names; the platform has seen nothing."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is spoken to in plain HTTP."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """How people are told of it: without its password."""
        return f"{self.host}:{self.port}"


def chosen() -> Callable[[str, str], Proxy | None]:
    """By scheme and host. Reads the environment once, as it is now.

    The choice raises ProxyFailure for a proxy of a kind that we do not speak.
    """
    proxies = getproxies_environment()

    def choose(scheme: str, host: str) -> Proxy | None:
        url = proxies.get(scheme) or proxies.get("all")
        if not url or is_this_machine(host) or _is_excepted(host.lower(), proxies.get("no", "")):
            return None
        return _parsed(url)

    return choose


def is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_excepted(host: str, no_proxy: str) -> bool:
    """NO_PROXY holds names, which stand for all below them too, addresses, networks, or a star for everything."""
    for entry in filter(None, (each.strip().lower() for each in no_proxy.split(","))):
        name = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or host == name or host.endswith(f".{name}") or _is_in(host, entry):
            return True
    return False


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parsed(url: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        raise ProxyFailure("the proxy of this machine has no usable address") from None
    if parts.scheme != "http" or not host:
        raise ProxyFailure(f"the proxy of this machine is a {parts.scheme} proxy; only http:// is spoken here")
    if parts.username is None:
        return Proxy(host, port)
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port, f"Basic {base64.b64encode(pair.encode()).decode()}")


def open_tunnel(stream: httpcore.NetworkStream, proxy: Proxy, host: str, port: int, left: TimeLeft) -> None:
    """Asks the proxy at the other end for a way to that host. Raises ProxyFailure."""
    there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        stream.write("\r\n".join([*lines, "", ""]).encode("ascii"), left(httpcore.ConnectTimeout))
        answer = _head(stream, left)
    except httpcore.TimeoutException as error:
        raise ProxyFailure(f"the proxy {proxy.name} takes too long") from error
    except httpcore.NetworkError as error:
        raise ProxyFailure(f"the proxy {proxy.name} broke off: {error}") from error
    status = _STATUS.match(answer)
    if status is None:
        raise ProxyFailure(f"what answers at the proxy {proxy.name} is no HTTP proxy")
    if not status[1].startswith(b"2"):
        raise ProxyFailure(f"the proxy {proxy.name} refuses the way to {host} ({status[1].decode()})")


def _head(stream: httpcore.NetworkStream, left: TimeLeft) -> bytes:
    """Up to the empty line: nothing of the platform can follow before we have spoken to it."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _ANSWER_BYTES:
        more = stream.read(_ANSWER_BYTES, left(httpcore.ConnectTimeout))
        if not more:
            break
        answer += more
    return answer
