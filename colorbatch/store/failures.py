"""Map the exceptions of store libraries to a few one-line OSErrors, so that callers need not know the libraries."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from colorbatch.errors import ColorbatchError, StoreUnavailableError, reason_of
from colorbatch.location import without_secrets
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
PAUSES = (0.5, 2.0)
"""Seconds to wait before each retry, in addition to the retries of the libraries."""
_REMOTE = getattr(errno, "EREMOTEIO", errno.ENXIO)
"""errno of other remote failures: not EIO, which on a disk means that the next file would fail too."""
_PERMANENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSYS})
"""Error numbers that are preserved, and for which a retry is pointless."""
_CREDENTIALS_ERRORS = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),  # botocore
        *("DefaultCredentialsError", "RefreshError"),  # google-auth
        *("ClientAuthenticationError", "CredentialUnavailableError"),  # azure
        *("AuthenticationException", "SSHAuthenticationError"),  # paramiko, smbprotocol
    }
)
_CONNECTION_ERRORS = frozenset(
    {
        *("HTTPClientError", "EndpointConnectionError", "ClientConnectionError", "ClientPayloadError"),
        *("IncompleteRead", "TransportError", "ServiceRequestError", "SSHException", "NoValidConnectionsError"),
        *("ConnectionError", "gaierror"),
    }
)
"""Exceptions of botocore, aiohttp, urllib3, google-auth, azure and paramiko."""


class CredentialsError(PermissionError):
    """No credentials were found, or the store rejected them."""


class CutError(ConnectionError):
    """A transfer was incomplete."""


def as_os_error(error: Exception) -> OSError:
    """Return an exception of a library as an OSError whose ``strerror`` is one line without secrets."""
    if isinstance(error, CutError | FileExistsError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    text = _one_line(error)
    candidates: list[tuple[bool, OSError]] = [
        (
            bool(names & _CREDENTIALS_ERRORS),
            CredentialsError(errno.EACCES, f"no credentials that the store accepts: {text}"),
        ),
        ("ResourceExistsError" in names, FileExistsError(errno.EEXIST, text)),
        ("FileNotFoundError" in names, FileNotFoundError(errno.ENOENT, text)),
        ("PermissionError" in names, PermissionError(errno.EACCES, f"the store refused it: {text}")),
        ("TimeoutError" in names, TimeoutError(errno.ETIMEDOUT, f"the store took too long: {text}")),
        (bool(names & _CONNECTION_ERRORS), ConnectionError(errno.ECONNRESET, f"the connection to it failed: {text}")),
    ]
    number = error.errno if isinstance(error, OSError) and error.errno in _PERMANENT else _REMOTE
    return next((candidate for matches, candidate in candidates if matches), OSError(number, text))


def store_unavailable(error: OSError, place: str) -> StoreUnavailableError:
    """Return the error of a run that needs a request that a store refused.

    Args:
        error: the error of the store.
        place: the location of the store, without secrets.

    """
    what = f"cannot use {place}: {reason_of(error)}"
    if isinstance(error, CredentialsError):
        return StoreUnavailableError(
            what,
            advice="Give credentials as for the store's own tools: environment variables, a profile, or the "
            "machine's role.",
        )
    if isinstance(error, PermissionError):
        return StoreUnavailableError(what, advice="Ask for permission to list, read and write there.")
    if isinstance(error, FileNotFoundError):
        return StoreUnavailableError(what, advice="Check the name of the bucket; colorbatch does not create buckets.")
    return StoreUnavailableError(what)


def with_retries(action: Callable[[], _T], what: str) -> _T:
    """Return the result of an action; retry it after a pause if a connection failed.

    Args:
        action: what to do; may raise any exception of a library.
        what: its description for the log.

    Raises:
        OSError: it failed each time, or for a permanent reason.

    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except (ColorbatchError, MemoryError):
            raise
        except Exception as error:
            failure = as_os_error(error)
            is_permanent = isinstance(failure, FileNotFoundError | PermissionError | FileExistsError)
            if is_permanent or pause is None or failure.errno in _PERMANENT:
                raise failure from error
            logger.info("%s, retrying in %g s: %s", printable(what), pause, reason_of(failure))
            time.sleep(pause)
    raise AssertionError  # the last pause is None


def _one_line(error: Exception) -> str:
    """Return the text of an error, on one line and without secrets."""
    text = reason_of(error) or type(error).__name__
    return without_secrets(" ".join(text.split()))
