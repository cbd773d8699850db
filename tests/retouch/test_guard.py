"""Requests as a browser, a stranger's page or a program could send them, without a server."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from colorbatch.retouch.guard import MAX_BODY, Guard, Message, Receive, Scope, Send

TOKEN = "a" * 43
HOST = "127.0.0.1:8000"
ORIGIN = f"http://{HOST}"


class Reached:
    """An application that keeps what it is asked."""

    path = ""
    body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.path = scope["path"]
        self.body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


class Sent:
    """The answer to a request, and how many parts of its body were read."""

    def __init__(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], chunks: Iterable[bytes] = (b"",)
    ) -> None:
        self.reached = Reached()
        self.messages: list[Message] = []
        self._chunks = list(chunks)
        self.chunks_read = 0
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
        answered = Guard(self.reached, TOKEN, 8000)(scope, self._receive, self._send)
        with ThreadPoolExecutor(1) as thread:  # in this one, the event loop of Playwright may be running
            thread.submit(asyncio.run, answered).result()
        self.status: int = self.messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    async def _receive(self) -> Message:
        chunk = self._chunks[self.chunks_read]
        self.chunks_read += 1
        return {"type": "http.request", "body": chunk, "more_body": self.chunks_read < len(self._chunks)}

    async def _send(self, message: Message) -> None:
        self.messages.append(message)


GOOD = [("Host", HOST), ("Origin", ORIGIN), ("Content-Type", "application/json")]


def changed(**headers: str | None) -> list[tuple[str, str]]:
    """Return good headers with others in their place; ``None``: left out."""
    found = {name.lower(): value for name, value in GOOD} | {
        name.replace("_", "-"): value for name, value in headers.items() if value is not None
    }
    return [(name, value) for name, value in found.items() if headers.get(name.replace("-", "_"), "") is not None]


def test_a_request_of_our_page_is_passed_on_with_the_path_after_the_token() -> None:
    sent = Sent("POST", f"/{TOKEN}/preview", GOOD, [b'{"id"', b": 1}"])
    assert (sent.status, sent.reached.path, sent.reached.body) == (200, "/preview", b'{"id": 1}')
    assert Sent("GET", f"/{TOKEN}/thumb/7", [("host", "localhost:8000")]).reached.path == "/thumb/7"
    assert Sent("GET", f"/{TOKEN}/", [("host", HOST), ("sec-fetch-site", "none")]).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "localhost.evil.example:8000", ""]
)
def test_another_name_for_this_machine_gets_nothing(host: str) -> None:
    """DNS rebinding: the browser of the user asks this machine under the name of a stranger's page."""
    sent = Sent("GET", f"/{TOKEN}/pictures", [("host", host)])
    assert (sent.status, sent.reached.path) == (403, "")
    assert Sent("POST", f"/{TOKEN}/save", changed(host=host, origin=f"http://{host}")).status == 403


def test_a_request_without_a_host_or_with_two_gets_nothing() -> None:
    assert Sent("GET", f"/{TOKEN}/pictures", []).status == 403
    assert Sent("GET", f"/{TOKEN}/pictures", [("host", HOST), ("host", HOST)]).status == 403


@pytest.mark.parametrize(
    "path", ["/", "", f"/{TOKEN}", f"/{'b' * 43}/pictures", "/pictures", f"//{TOKEN}/pictures", "/é/x"]
)
def test_without_the_token_there_is_nothing(path: str) -> None:
    sent = Sent("GET", path, [("host", HOST)])
    assert (sent.status, sent.reached.path) == (404, "")


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:8000", "http://localhost:8000"]
)
def test_a_page_of_a_stranger_can_change_nothing(origin: str | None) -> None:
    sent = Sent("POST", f"/{TOKEN}/save", changed(origin=origin), [b"{}"])
    assert (sent.status, sent.reached.path, sent.chunks_read) == (403, "", 0)


@pytest.mark.parametrize(("name", "value"), [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")])
def test_a_page_of_a_stranger_can_read_nothing(name: str, value: str) -> None:
    assert Sent("GET", f"/{TOKEN}/pictures", [("host", HOST), (name, value)]).status == 403


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data", "application/jsonp"])
def test_what_a_form_can_send_is_refused(kind: str | None) -> None:
    assert Sent("POST", f"/{TOKEN}/save", changed(content_type=kind)).status == 400
    assert Sent("POST", f"/{TOKEN}/save", changed(content_type="application/json; charset=utf-8")).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_no_other_methods_are_used(method: str) -> None:
    assert Sent(method, f"/{TOKEN}/pictures", [("host", HOST)]).status == 405


def test_a_large_body_is_refused_unread() -> None:
    sent = Sent("POST", f"/{TOKEN}/save", changed(content_length=str(MAX_BODY + 1)), [b"x"] * 10)
    assert (sent.status, sent.chunks_read, sent.headers["connection"]) == (413, 0, "close")
    assert Sent("POST", f"/{TOKEN}/save", changed(content_length="9" * 400)).status == 413
    assert Sent("POST", f"/{TOKEN}/save", changed(content_length="-1")).status == 413


def test_a_large_body_of_unknown_size_is_read_no_further_than_allowed() -> None:
    sent = Sent("POST", f"/{TOKEN}/save", GOOD, [b"x" * 400_000] * 100)
    assert (sent.status, sent.chunks_read) == (413, 3)


@pytest.mark.parametrize("path", [f"/{TOKEN}/pictures", "/nothing"])
def test_every_answer_forbids_all_but_our_own_script_and_style(path: str) -> None:
    headers = Sent("GET", path, [("host", HOST)]).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not any(name.startswith("access-control") for name in headers)
