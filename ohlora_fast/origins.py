"""Host names and origins that a local web server answers to, so that pages of other sites cannot use it.

A site can make its own name resolve to 127.0.0.1 (DNS rebinding), or send requests here from its own page. The first
shows in the header ``Host``, the second in ``Origin`` and ``Sec-Fetch-Site``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from ohlora_fast.errors import InputError

AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.ASCII)
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.ASCII)
ANY_ADDRESS = ("", "0.0.0.0", "::")
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Origins:
    """Names under which a server may be asked.

    Args:
        host: address that the server listens at. Requests must name it, or this machine's loopback address; a server at
            every address (``"0.0.0.0"``) also takes any IP address and the machine's own name.
        names: further host names, as of a reverse proxy.

    Raises:
        InputError: one of the names is no host name.

    >>> origins = Origins("127.0.0.1", ["hair.example.org"])
    >>> origins.refusal(["localhost:7860"], ["http://localhost:7860"])
    >>> origins.refusal(["evil.example"], [])
    "this server does not answer to the host name 'evil.example'"
    >>> origins.refusal(["localhost:7860"], ["http://localhost:3000"])
    "requests from the origin 'http://localhost:3000' are refused"
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        self._any_address = host in ANY_ADDRESS
        self._added = frozenset(name.lower() for name in names)
        for name in self._added:
            if not NAME.fullmatch(name):
                raise InputError(f"host name: got {name!r}, expected a name without scheme, port or path")
        own = {socket.gethostname().lower()} if self._any_address else {host.lower()}
        self._names = LOCAL | self._added | own

    def answers_to(self, authority: str) -> bool:
        """Tell whether requests may name this host, given as in ``Host``: a name or address, perhaps with a port."""
        found = AUTHORITY.fullmatch(authority.lower())
        if found is None:
            return False
        name = found["name"].strip("[]").removesuffix(".")
        return name in self._names or (self._any_address and _is_address(name))

    def refusal(self, hosts: Sequence[str], origins: Sequence[str], site: str = "", entry: bool = False) -> str | None:
        """Return the reason to refuse a request, or None.

        Args:
            hosts: values of the header ``Host``, of which there must be one.
            origins: values of the header ``Origin``, of which there may be one.
            site: value of the header ``Sec-Fetch-Site``, if the browser sends it.
            entry: whether it is the page itself that is asked for, to which other sites may link.
        """
        if len(hosts) != 1 or not self.answers_to(hosts[0]):
            return f"this server does not answer to the host name {_shown(hosts)}"
        if origins:
            scheme, _, authority = origins[0].lower().partition("://")
            same = authority == hosts[0].lower()
            behind_proxy = self._added and authority.partition(":")[0] in self._added
            if len(origins) != 1 or scheme not in ("http", "https") or not (same or behind_proxy):
                return f"requests from the origin {_shown(origins)} are refused"
        elif site in ("cross-site", "same-site") and not entry:
            return "requests from other sites are refused"
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _shown(values: Sequence[str]) -> str:
    """Quote a header for a message, in ASCII and short."""
    return ascii(", ".join(values)[:100])
