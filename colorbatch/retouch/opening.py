"""A session that is opened while the page is shown already: tens of thousands of rows take some seconds to read."""

import gc
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from colorbatch.retouch.api import Answer, Api, page_answer
from colorbatch.retouch.made_with import Choices
from colorbatch.retouch.page import ASSETS
from colorbatch.retouch.session import RetouchSession

_SECONDS_TO_WAIT = 1.0
"""How long the page waits for the session; most are opened by then, and what is wrong is known."""
_OF_THE_LIST = ("pictures", "palette")
"""What is answered as soon as the pictures are known, before the model is opened."""


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
        self._listed: Future[RetouchSession] = Future()
        self._session: Future[RetouchSession] = pool.submit(_opened, source, output, choices, self._listed.set_result)
        self._session.add_done_callback(lambda found: self._end(found.exception(), failed))
        self._api: Api | None = None
        self._making = threading.Lock()
        pool.shutdown(wait=False)

    def _end(self, error: BaseException | None, failed: threading.Event) -> None:
        if error is None:
            return
        failed.set()
        if not self._listed.done():
            self._listed.set_exception(error)

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
        session = self._listed.result()
        if method == "POST" or path not in _OF_THE_LIST:
            self.session()
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


def _opened(
    source: Path | None, output: Path, choices: Choices, when_listed: Callable[[RetouchSession], None]
) -> RetouchSession:
    """Open a session. What it reads stays, so that to look for garbage meanwhile takes time and finds none."""
    gc.disable()
    try:
        return RetouchSession(source, output, choices, when_listed)
    finally:
        gc.freeze()
        gc.enable()
