"""What tests of the retouch page share."""

from collections.abc import Callable

from colorbatch.retouch.session import RetouchSession

OpenSession = Callable[..., RetouchSession]
"""Opens a session over a job, without its source if ``has_source`` is false, and closes it after the test."""
