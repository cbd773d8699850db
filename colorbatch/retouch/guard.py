"""What every request has to fulfil before anything of it is looked at: it comes from our own page, and is small.

A page of a stranger in the same browser can send requests to this machine, and can give a name of its own the address
of this machine (DNS rebinding). It knows neither the token nor can it forge ``Host`` and ``Origin``.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

MAX_BODY = 1_000_000
"""Maximum size of a request in bytes."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers of every answer."""
_FROM_OUR_PAGE = ("same-origin", "none")
"""Values of ``Sec-Fetch-Site`` of requests of our own page, and of addresses that were typed or opened by a program."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RefusedError(Exception):
    """A request that does not come from our page, or is too large."""

    def __init__(self, status: int, error: str, advice: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.advice = advice


class Guard:
    """An ASGI application around another, to which only good requests get; its paths begin after the token."""

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return  # uvicorn closes what is not accepted
        try:
            inner = self._checked(scope)
            body = await _body_of(scope, receive)
        except RefusedError as error:
            await _refuse(error, send)
            return
        await self._app(inner, _replayed(body, receive), _with_headers(send))

    def _checked(self, scope: Scope) -> Scope:
        """Return a request with the path after the token.

        Raises:
            RefusedError: it does not come from our page.

        """
        headers = _headers_of(scope)
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            raise RefusedError(403, "this address is not that of the page", "Open the address that colorbatch printed.")
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(first.encode(), self._token):
            raise RefusedError(404, "there is nothing here", "Open the address that colorbatch printed.")
        method, origins = scope["method"], headers.get("origin", [])
        if method not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, f"the method {method[:20]} is not used")
        needed = [f"http://{hosts[0]}"]
        if origins != needed and (origins or method == "POST"):
            raise RefusedError(403, "the request does not come from the page")
        if any(each not in _FROM_OUR_PAGE for each in headers.get("sec-fetch-site", [])):
            raise RefusedError(403, "the request does not come from the page")
        kinds = [each.partition(";")[0].strip().lower() for each in headers.get("content-type", [])]
        if method == "POST" and kinds != ["application/json"]:
            raise RefusedError(400, "the request is not JSON")
        path = f"/{rest}"
        return {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogateescape"), "root_path": ""}


def _headers_of(scope: Scope) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def _body_of(scope: Scope, receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        RefusedError: it is too large; no more of it is read than that takes.

    """
    lengths = _headers_of(scope).get("content-length", [])
    if any(not each.isdigit() or len(each) > 12 or int(each) > MAX_BODY for each in lengths):
        raise RefusedError(413, f"the request is larger than {MAX_BODY:,} bytes")
    body, is_complete = b"", False
    while not is_complete:
        message = await receive()
        body += message.get("body", b"")
        is_complete = not message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise RefusedError(413, f"the request is larger than {MAX_BODY:,} bytes")
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives a body that was read already, and after it what really comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _with_headers(send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_with_headers


async def _refuse(error: RefusedError, send: Send) -> None:
    body = json.dumps({"error": str(error), "advice": error.advice}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 413:
        headers.append((b"connection", b"close"))  # what was not read is not to be taken for the next request
    sender = _with_headers(send)
    await sender({"type": "http.response.start", "status": error.status, "headers": headers})
    await sender({"type": "http.response.body", "body": body})
