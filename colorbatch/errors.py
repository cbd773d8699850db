"""Every failure that colorbatch can end with, with its advice and its exit code.

ColorbatchError
├── PictureError                 one picture failed; the run goes on      exit 1
│   ├── UnreadablePictureError   damaged, truncated or not a picture
│   ├── UnsupportedPictureError  a kind that would lose something
│   ├── UnsafeOutputError        a file of the user's is where the output belongs
│   ├── UnsignableError          the output cannot be signed
│   └── InferenceError           the model failed on this picture
│       └── InferenceStoppedError  the run was stopped during inference
├── UsageError                   bad option or folder                     exit 2
├── ModelRefusedError            not a model colorbatch can trust         exit 3
├── CheckpointRefusedError       not a checkpoint, or one with code in it exit 3
├── EnvironmentFailure           something outside is missing or full     exit 4
│   ├── MissingExtraError        a package of an extra is not installed
│   ├── ProviderUnavailableError the requested execution provider cannot be used
│   ├── OutputUnwritableError    the output cannot be written
│   └── StoreUnavailableError    a store does not respond, or refuses a request
├── OutputInUseError             another run is using the output          exit 5
└── ParityError                  a model and its network disagree         exit 6
"""

from collections.abc import Callable
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command: a promise to scripts."""

    OK = 0
    PICTURES_FAILED = 1
    USAGE = 2
    MODEL_REFUSED = 3
    ENVIRONMENT = 4
    OUTPUT_IN_USE = 5
    PARITY = 6
    BUG = 70
    SIGINT = 130
    SIGTERM = 143


class ColorbatchError(Exception):
    """Base of all expected failures: ``str(error)`` says what is wrong, ``advice`` what to do about it."""

    exit_code: ExitCode = ExitCode.BUG
    advice: str = ""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        if advice is not None:
            self.advice = advice

    def __reduce__(self) -> tuple[Callable[..., "ColorbatchError"], tuple[object, ...]]:
        """Support :mod:`pickle` whatever arguments a subclass takes: workers of a cluster send errors."""
        return _unpickled, (type(self), str(self), self.advice)

    @property
    def in_full(self) -> str:
        """What is wrong and what to do, on one line."""
        return f"{self}. {self.advice}" if self.advice else str(self)


def reason_of(error: Exception) -> str:
    """Return the message of an error; for an OSError with ``strerror``, that alone."""
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or str(error)


def _unpickled(kind: type[ColorbatchError], message: str, advice: str) -> ColorbatchError:
    """Return an error as it was before pickling."""
    error = kind.__new__(kind, message)
    error.advice = advice
    return error


class PictureError(ColorbatchError):
    """One picture failed; the others go on."""

    exit_code = ExitCode.PICTURES_FAILED


class UnreadablePictureError(PictureError):
    """The file is not a picture, or it is damaged or truncated."""

    advice = "Restore the file from a backup or scan it again; --salvage colours the readable part."
    without_salvage = "Restore the file from a backup or scan it again."
    """Advice where there is no readable part."""


class UnsupportedPictureError(PictureError):
    """The picture is sound, but of a kind that colorbatch could only write with a loss."""


class UnsafeOutputError(PictureError):
    """A file that colorbatch did not make is where the output belongs."""

    advice = "Move that file away or choose another output folder."


class UnsignableError(PictureError):
    """The output cannot be signed: its format cannot hold a signature, or the signature could not be made."""


class InferenceError(PictureError):
    """The model failed on this picture, or returned numbers that are not colours."""


class InferenceStoppedError(InferenceError):
    """The run was stopped during inference on this picture."""


class UsageError(ColorbatchError):
    """The command or the job was asked for something impossible."""

    exit_code = ExitCode.USAGE


class ModelRefusedError(ColorbatchError):
    """The file is not a model that fulfils colorbatch's contract."""

    exit_code = ExitCode.MODEL_REFUSED
    advice = "Make a model with: colorbatch export CHECKPOINT"


class CheckpointRefusedError(ColorbatchError):
    """The file is not a checkpoint of a known network, or it contains code."""

    exit_code = ExitCode.MODEL_REFUSED
    advice = "Use a .pth file written by colorbatch train, or a plain state dict of the network."


class EnvironmentFailure(ColorbatchError):  # noqa: N818 (EnvironmentError is a builtin)
    """Something outside colorbatch is missing, full or closed."""

    exit_code = ExitCode.ENVIRONMENT


class MissingExtraError(EnvironmentFailure):
    """A package that belongs to an extra is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package {package} is not installed",
            advice=f"Install it with: pip install 'colorbatch[{extra}]'",
        )


class ProviderUnavailableError(EnvironmentFailure):
    """The requested execution provider cannot be used here."""


class OutputUnwritableError(EnvironmentFailure):
    """An output cannot be written: no permission, no space, or a read-only file system."""

    advice = "Check permissions and free space of the output folder, then run the same command again."


class StoreUnavailableError(EnvironmentFailure):
    """A store of sources or outputs does not respond, or refuses a request that a run needs."""

    advice = "Check the network and the address of the store, then run the same command again."


class OutputInUseError(ColorbatchError):
    """Another command is using the output folder."""

    exit_code = ExitCode.OUTPUT_IN_USE
    advice = (
        "Wait until it has finished, or choose another output folder. "
        "The retouch page and run --watch stay until you press Ctrl-C where they were started."
    )


class ParityError(ColorbatchError):
    """A model and the network it was made from disagree beyond the tolerance."""

    exit_code = ExitCode.PARITY
