"""What the libraries of stores raise, as one of a few errors with one line: callers know OSError, and no library."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from colorbatch.errors import ColorbatchError, StoreUnavailableError
from colorbatch.location import without_secrets
from colorbatch.text import printable

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
PAUSES = (0.5, 2.0)
"""Seconds before it is tried again, beyond what the libraries try by themselves."""
_REMOTE = getattr(errno, "EREMOTEIO", errno.ENXIO)
"""Not EIO, which says of a disk that the next file would fail as well."""
_KEPT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSYS})
_OF_CREDENTIALS = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
        *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),  # botocore
        *("DefaultCredentialsError", "RefreshError"),  # google-auth
        *("ClientAuthenticationError", "CredentialUnavailableError"),  # azure
        *("AuthenticationException", "SSHAuthenticationError"),  # paramiko, smbprotocol
    }
)
_OF_CONNECTIONS = frozenset(
    {
        *("HTTPClientError", "EndpointConnectionError", "ClientConnectionError", "ClientPayloadError"),
        *("IncompleteRead", "TransportError", "ServiceRequestError", "SSHException", "NoValidConnectionsError"),
        *("ConnectionError", "gaierror"),
    }
)
"""Of botocore, aiohttp, urllib3, google-auth, azure and paramiko."""


class CredentialsError(PermissionError):
    """Nothing was found to show to the store, or it was not taken."""


class CutError(ConnectionError):
    """Less came than there is."""


def as_os_error(error: Exception) -> OSError:
    """Return what a library raised as an OSError whose ``strerror`` is one line that may be shown."""
    if isinstance(error, CutError | FileExistsError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    text = _line(error)
    kinds: list[tuple[bool, OSError]] = [
        (
            bool(names & _OF_CREDENTIALS),
            CredentialsError(errno.EACCES, f"no credentials that the store accepts: {text}"),
        ),
        ("ResourceExistsError" in names, FileExistsError(errno.EEXIST, text)),
        ("FileNotFoundError" in names, FileNotFoundError(errno.ENOENT, text)),
        ("PermissionError" in names, PermissionError(errno.EACCES, f"the store refused it: {text}")),
        ("TimeoutError" in names, TimeoutError(errno.ETIMEDOUT, f"the store took too long: {text}")),
        (bool(names & _OF_CONNECTIONS), ConnectionError(errno.ECONNRESET, f"the connection to it failed: {text}")),
    ]
    number = error.errno if isinstance(error, OSError) and error.errno in _KEPT else _REMOTE
    return next((kind for fits, kind in kinds if fits), OSError(number, text))


def store_unavailable(error: OSError, place: str) -> StoreUnavailableError:
    """Return the failure of a run that cannot go on without what a store refused.

    Args:
        error: of the store.
        place: where it is, without secrets.

    """
    what = f"cannot use {place}: {error.strerror or error}"
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
    """Return what an action returns; do it again after a pause where a connection failed.

    Args:
        action: which may raise whatever a library raises.
        what: it does, for the log.

    Raises:
        OSError: it failed each time, or for a reason that does not go away.

    """
    for pause in (*PAUSES, None):
        try:
            return action()
        except (ColorbatchError, MemoryError):
            raise
        except Exception as error:
            failure = as_os_error(error)
            lasts = isinstance(failure, FileNotFoundError | PermissionError | FileExistsError)
            if lasts or pause is None or failure.errno in _KEPT:
                raise failure from error
            logger.info("%s, retrying in %g s: %s", printable(what), pause, failure.strerror or failure)
            time.sleep(pause)
    raise AssertionError  # the last pause is None


def _line(error: Exception) -> str:
    """Return what an error says, on one line and without secrets."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return without_secrets(" ".join(text.split()))
