"""The server of the page: on this machine only, one address with a random token, until it is told to stop."""

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from colorbatch.errors import EnvironmentFailure, reason_of
from colorbatch.extras import needs_extra
from colorbatch.job import WORKER_NAME
from colorbatch.retouch.api import Answer
from colorbatch.retouch.guard import Guard

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
_TOKEN_BYTES = 32
_THREADS = 8
"""Number of requests that are answered at the same time; those that colour wait for each other."""
_MOST_CONNECTIONS = 200
_SECONDS_TO_END = 1
"""How long requests may take after the server is told to stop; a picture that is being made is finished anyway."""


@dataclass(frozen=True)
class Address:
    """A port of this machine that is held, and the secret part of the address."""

    socket: socket.socket
    token: str

    @property
    def port(self) -> int:
        """Number of the port."""
        port: int = self.socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"


def refuse_without_extra() -> None:
    """Raise unless the packages of the server are installed.

    Raises:
        EnvironmentFailure: one is not.

    """
    with needs_extra("retouch"):
        import_module("starlette")
        import_module("uvicorn")


@contextmanager
def held_address(port: int | None) -> Iterator[Address]:
    """Hold a port of this machine, at which connections wait until they are served.

    Args:
        port: its number; ``None``: any that is free.

    Raises:
        EnvironmentFailure: it is in use, or not allowed.

    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        try:
            listening.bind((HOST, port or 0))
            listening.listen(_MOST_CONNECTIONS)
        except OSError as error:
            raise EnvironmentFailure(
                f"cannot use the port {port or 'that is free'} of {HOST}: {reason_of(error)}",
                advice="Give another one with --port, or none.",
            ) from error
        yield Address(listening, secrets.token_urlsafe(_TOKEN_BYTES))


class Answering(Protocol):
    """What answers requests."""

    def answer(self, method: str, path: str, parameters: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request, as :meth:`colorbatch.retouch.api.Api.answer` does."""


def serve(api: Answering, address: Address, stop: threading.Event) -> None:
    """Answer requests until ``stop`` is set.

    Raises:
        EnvironmentFailure: a package is not installed.

    """
    refuse_without_extra()
    import uvicorn

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=WORKER_NAME)
    config = uvicorn.Config(
        Guard(_application(api, pool), address.token, address.port),
        http="h11",
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",  # a request that is cut off at the end is no error
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    try:
        asyncio.run(_stoppable(config, stop).serve(sockets=[address.socket]))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _stoppable(config: "uvicorn.Config", stop: threading.Event) -> "uvicorn.Server":
    """Return a server that ends when ``stop`` is set, and leaves signals to the command line."""
    import uvicorn

    class Server(uvicorn.Server):
        def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
            return nullcontext()

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or stop.is_set()

    return Server(config)


def _application(api: Answering, pool: ThreadPoolExecutor) -> "Starlette":
    """Return the application that answers requests in threads."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request: "Request") -> "Response":
        body = await request.body()
        parameters: Mapping[str, str] = dict(request.query_params)
        found: Answer = await asyncio.get_running_loop().run_in_executor(
            pool, api.answer, request.method, request.path_params["path"], parameters, body
        )
        headers = {} if found.milliseconds is None else {"X-Milliseconds": f"{found.milliseconds:.0f}"}
        return Response(found.body, found.status, headers, found.media_type)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
