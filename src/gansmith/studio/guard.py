"""What stands between the network and the studio: hosts, origins, sessions, sizes, headers.

The studio starts processes and writes files, so a page from elsewhere must never talk to it:

* ``Host`` must be one this server was started for, which stops DNS rebinding;
* every request that changes something must carry a header that other sites cannot send without asking, and an
  ``Origin`` (where the browser sends one) that is this server, which stops cross-site requests;
* beyond loopback a password opens a session in a strict, http-only cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import math
import secrets
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gansmith.studio import words

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SMALL_BODY = 8 << 20
"""Most bytes of a request that is no upload (a painted mask is the largest)."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_OPEN = ("/login", "/api/login", "/static/", "/words/")
_SESSION_SECONDS = 7 * 24 * 3600


class TooLarge(Exception):
    """A body went on past its limit."""


class Wrong:
    """Wrong passwords, counted by address: each one after the first few doubles the time until the next try.

    An address is forgotten after a day without a wrong password, or when it gives the right one.
    """

    FREE, FIRST, LONGEST, KEPT, REMEMBERED = 4, 1.0, 900.0, 10_000, 86_400.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 or less where it may now."""
        count, last = self._found.get(address, (0, 0.0))
        if count <= self.FREE:
            return 0.0
        delay = min(self.LONGEST, self.FIRST * 2.0 ** min(count - self.FREE - 1, 20))
        return last + delay - self._clock()

    def add(self, address: str) -> None:
        """One more wrong password."""
        now = self._clock()
        count, last = self._found.pop(address, (0, now))
        self._found[address] = (1 if now - last > self.REMEMBERED else count + 1, now)
        while len(self._found) > self.KEPT:
            self._found.popitem(last=False)

    def forget(self, address: str) -> None:
        """This address knows the password."""
        self._found.pop(address, None)


def origin_of(address: str) -> str:
    """What is counted as one address: of IPv6 the network of 64 bits, which one customer has as a whole."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _spoken(seconds: int) -> str:
    return f"{seconds} s" if seconds < 90 else f"{math.ceil(seconds / 60)} minutes"


def is_loopback(host: str) -> bool:
    """Is this address reachable from this machine only?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware; see the module's text.

    Args:
        app: what is guarded.
        host: the address the server is bound to.
        port: its port, so that two studios on one machine have cookies of their own.
        password: None asks for none.
        upload_limit: most bytes of one uploaded file.
    """

    def __init__(self, app: App, *, host: str, port: int, password: str | None, upload_limit: int) -> None:
        self.app, self.host, self.upload_limit = app, host.strip("[]").lower(), upload_limit
        self._password = None if password is None else hashlib.sha256(password.encode()).digest()
        self._sessions: dict[str, float] = {}
        self._wrong = Wrong()
        self.cookie = f"gansmith-{port}"
        self._names = {self.host, "localhost"}
        if not is_loopback(self.host):
            short = socket.gethostname().lower()
            self._names |= {short, f"{short}.local"}
            # a look at the DNS, which may take its time
            threading.Thread(target=lambda: self._names.add(socket.getfqdn().lower()), daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if sum(key.lower() == b"host" for key, _ in scope["headers"]) > 1:
            headers["host"] = ""  # which one is meant, others may see differently
        words.speak(headers.get("accept-language", ""))
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await self._answer(scope, send, *refusal)
            return
        if scope["path"] == "/api/login" and scope["method"] == "POST":
            await self._login(scope, receive, send)
            return
        limit = self.upload_limit if scope["path"].startswith("/api/upload/") else SMALL_BODY
        if int(headers.get("content-length") or 0) > limit:
            await self._answer(scope, send, 413, f"That is more than the {limit >> 20} MB that one file may have.")
            return
        await self._serve(scope, receive, send, limit)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        seen = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise TooLarge
            return message

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self.app(scope, counted, with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Why a request is not served: status and message, or None."""
        host = headers.get("host", "")
        if not self.host_allowed(host):
            return 421, "This studio does not answer to that host name. Use the address that its terminal shows."
        length = headers.get("content-length") or "0"
        if not length.isdecimal() or len(length) > 20:
            return 400, "Content-Length is not a number."
        path, reads = scope["path"], scope["method"] in ("GET", "HEAD")
        # where the browser says whose page asks; a link from elsewhere may open the page, but not ask for more
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and (not reads or path.startswith("/api/")):
            return 403, "The request came from another site."
        if not reads:
            if scope["method"] != "POST":
                return 405, "Only GET and POST are served."
            origin = headers.get("origin")
            if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
                return 403, "The request came from another site."
            if headers.get("x-gansmith") != "studio":
                return 403, "The request does not come from the studio's page (header X-Gansmith)."
        if self._password is not None and not path.startswith(_OPEN) and not self._signed_in(headers.get("cookie", "")):
            return 401, "Sign in first."
        return None

    def host_allowed(self, header: str) -> bool:
        """May a request name this host? Names that an attacker's DNS could point here may not.

        The port may be any: behind a tunnel (``ssh -L``) or a container's mapped port it is another one than ours, and a
        page of another port is told apart by its Origin.
        """
        name = _host_name(header)
        if name is None:
            return False
        if is_loopback(self.host):
            return is_loopback(name)
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _signed_in(self, cookies: str) -> bool:
        for part in cookies.split(";"):
            name, _, token = part.strip().partition("=")
            if name == self.cookie and self._sessions.get(token, 0.0) > time.time():
                return True
        return False

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more and len(body) < 4096:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        client = scope.get("client")
        address = origin_of(client[0] if client else "")
        wait = math.ceil(self._wrong.wait(address))
        if wait > 0:  # a right password too: whoever guesses must not learn which one it was
            message = f"Too many wrong passwords from this address. Try again in {_spoken(wait)}."
            content = json.dumps({"error": words.said(message), "wait": wait}).encode()
            await _respond(send, 429, content, b"application/json", [(b"retry-after", str(wait).encode())])
            return
        try:
            given = json.loads(body)["password"]
            right = isinstance(given, str) and hmac.compare_digest(
                hashlib.sha256(given.encode()).digest(), self._password or b""
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            right = False
        if not right:
            self._wrong.add(address)
            await self._answer({"path": "/api/login"}, send, 401, "That is not the password.")
            return
        self._wrong.forget(address)
        token = secrets.token_urlsafe(32)
        self._sessions = {t: end for t, end in self._sessions.items() if end > time.time()}
        self._sessions[token] = time.time() + _SESSION_SECONDS
        cookie = f"{self.cookie}={token}; Path=/; Max-Age={_SESSION_SECONDS}; HttpOnly; SameSite=Strict"
        await _respond(send, 200, b'{"ok": true}', b"application/json", [(b"set-cookie", cookie.encode())])

    async def _answer(self, scope: Scope, send: Send, status: int, message: str) -> None:
        if status == 401 and not scope["path"].startswith("/api/"):
            await _respond(send, 303, b"", b"text/plain", [(b"location", b"/login")])
            return
        await _respond(send, status, json.dumps({"error": words.said(message)}).encode(), b"application/json", [])


def _host_name(header: str) -> str | None:
    """``[::1]:7860`` -> "::1"; None where it is not a name with or without a port."""
    if header.startswith("["):
        name, bracket, rest = header[1:].partition("]")
        if not bracket:
            return None
    else:
        name, colon, port = header.partition(":")
        rest = colon + port
    if rest and not (rest[0] == ":" and rest[1:].isdecimal() and len(rest) <= 6):
        return None
    return name.lower() or None


async def _respond(send: Send, status: int, body: bytes, kind: bytes, more: list[tuple[bytes, bytes]]) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length), (b"cache-control", b"no-store"), *more, *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
