"""Turn a missing optional package into an error that names the pip command."""

from collections.abc import Iterator
from contextlib import contextmanager

from colorbatch.errors import EnvironmentFailure, MissingExtraError


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Wrap the late imports of an extra's packages.

    Raises:
        MissingExtraError: a package is not installed.
        EnvironmentFailure: a package is installed but cannot be imported.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("colorbatch", "colorbatch_export"):
            raise
        raise MissingExtraError(package, extra) from error
    except ImportError as error:
        raise EnvironmentFailure(
            f"a package of the extra {extra} does not import: {error}",
            advice=f"Install it again with: pip install --force-reinstall 'colorbatch[{extra}]'",
        ) from error
