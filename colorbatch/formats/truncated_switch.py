"""Pillow's global switch for truncated files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile


class TruncatedSwitch:
    """Lock around Pillow's global switch for truncated files: no other thread decodes while it is on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._salvages = 0
        """Number of salvages waiting or running; new readers wait for them, so that salvages do not starve."""

    @contextmanager
    def off(self) -> Iterator[None]:
        """Decode complete files, concurrently with other threads that do so."""
        with self._condition:
            self._condition.wait_for(lambda: self._salvages == 0)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Decode a truncated file, while no other thread decodes."""
        with self._condition:
            before = ImageFile.LOAD_TRUNCATED_IMAGES
            self._salvages += 1
            try:
                self._condition.wait_for(lambda: self._readers == 0)
                ImageFile.LOAD_TRUNCATED_IMAGES = True
                yield
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = before
                self._salvages -= 1
                self._condition.notify_all()


TRUNCATED_SWITCH = TruncatedSwitch()
