"""A session that is opened while the page is shown already: tens of thousands of rows take some seconds to read."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from colorbatch.retouch.api import Answer, Api, page_answer
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.page import ASSETS
from colorbatch.retouch.session import RetouchSession

_SECONDS_TO_WAIT = 1.0
"""How long the page waits for the session; most are opened by then, and what is wrong is known."""


class Opening:
    """A session on its way, and the answers to requests: those that need it wait for it."""

    def __init__(self, source: Path | None, output: Path, choices: Choices, failed: threading.Event) -> None:
        """Open a session in a thread.

        Args:
            source: as for :class:`RetouchSession`.
            output: likewise.
            choices: likewise.
            failed: set if it cannot be opened.

        """
        self._output = output
        pool = ThreadPoolExecutor(1, thread_name_prefix="opening")
        self._session: Future[RetouchSession] = pool.submit(RetouchSession, source, output, choices)
        self._session.add_done_callback(lambda found: failed.set() if found.exception() else None)
        self._api: Api | None = None
        self._making = threading.Lock()
        pool.shutdown(wait=False)

    def wait(self) -> None:
        """Wait a moment for the session.

        Raises:
            ColorbatchError: it cannot be opened.

        """
        if wait([self._session], _SECONDS_TO_WAIT).done:
            self._session.result()

    def session(self) -> RetouchSession:
        """Return the session as soon as it is open.

        Raises:
            ColorbatchError: it cannot be opened.

        """
        return self._session.result()

    def answer(self, method: str, path: str, parameters: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request, as :meth:`Api.answer` does."""
        if method != "POST" and path in ("", *ASSETS):
            return page_answer(path, self._output)
        session = self.session()
        with self._making:
            self._api = self._api or Api(session)
        return self._api.answer(method, path, parameters, body)

    def close(self) -> None:
        """Wait for the session, and close it.

        Raises:
            OutputUnwritableError: the manifest cannot be written.

        """
        wait([self._session])
        if self._session.exception() is None:
            self._session.result().close()
