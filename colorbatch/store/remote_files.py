"""Requests to a store that fsspec reaches: an object store, or a server of files."""

import errno
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from colorbatch.errors import EnvironmentFailure
from colorbatch.location import SCHEMES, shown
from colorbatch.store import atomic
from colorbatch.store.failures import CutError, as_os_error, store_unavailable, with_retries
from colorbatch.store.file_state import FileState, etag_of, state_of
from colorbatch.text import printable, to_locale, to_utf_8

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

_OPTIONS: dict[str, dict[str, Any]] = {
    # pictures are read several at a time, and each by one request; what is listed here is kept here
    "s3": {"max_concurrency": 1, "use_listings_cache": False},
    "gs": {"use_listings_cache": False},
    "gcs": {"use_listings_cache": False},
    "az": {"use_listings_cache": False},
    "abfs": {"use_listings_cache": False},
    "abfss": {"use_listings_cache": False},
}
_CREATE: dict[str, dict[str, Any]] = {key: {"overwrite": False} for key in ("az", "abfs", "abfss")}
"""How a library is told to replace nothing, where it is not told by fsspec's ``mode="create"``."""
PART_BYTES = 16 * 2**20
"""Of an upload in parts, each of which is tried again by itself; what has less than two is uploaded in one step."""
_AT_ONCE = 16
"""Requests for what is small: each waits for an answer most of the time."""


class RemoteFiles:
    """The files below a location, each request with retries. May be used from several threads at once."""

    def __init__(self, location: "UPath") -> None:
        self.location = location
        self.can_create = True
        """Whether the store can tell, as it writes an object, whether it already exists."""
        self._opened: Any = None
        self._leftovers: set[str] = set()
        """Paths of temporary files that could not be deleted, and of uploads that could not be aborted."""

    def __reduce__(self) -> tuple[type["RemoteFiles"], tuple["UPath"]]:
        return type(self), (self.location,)

    @property
    def shown(self) -> str:
        """Where it is, without secrets: for messages and logs."""
        return shown(self.location).rstrip("/")

    @property
    def is_object_store(self) -> bool:
        """Whether an upload is there whole or not at all; else what is written gets its name when it is whole."""
        scheme = SCHEMES.get(self.location.protocol)
        return scheme is not None and scheme.is_object_store

    @property
    def _fs(self) -> Any:  # noqa: ANN401 (fsspec has no types)
        """The library's file system.

        Raises:
            OSError: it cannot be opened.

        """
        if self._opened is None:
            options = {**self.location.storage_options, **_OPTIONS.get(self.location.protocol, {})}
            try:
                self._opened = type(self.location.fs)(**options)
            except Exception as error:
                raise as_os_error(error) from error
        return self._opened

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return a file, whole; ``size``: its bytes, where they are known, which saves a request.

        Raises:
            OSError: it cannot be read, or not whole.

        """
        path = self._path(name)

        def whole() -> bytes:
            data: bytes = self._fs.cat_file(path)
            return data if len(data) == size else self._checked(path, data)  # else it was replaced since

        return with_retries(whole, f"reading {name}")

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Return several files that are small.

        Raises:
            OSError: one cannot be read.

        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.read, names))

    def start_of(self, name: str, count: int) -> bytes:
        """Return at most ``count`` bytes from the start of a file, which must not be empty.

        Raises:
            OSError: it cannot be read.

        """
        path = self._path(name)

        def start() -> bytes:
            data: bytes = self._fs.cat_file(path, start=0, end=count)
            return data[:count]

        return with_retries(start, f"reading the start of {name}")

    def put(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        """Write a file whole or not at all; unlike :meth:`write`, not for outputs.

        Raises:
            FileExistsError: something of that name is there, which may not be replaced.
            OSError: it cannot be written.

        """
        path = self._path(name)
        return with_retries(lambda: self._put(path, data, may_replace=may_replace), f"writing {name}")

    def delete(self, name: str) -> None:
        """Delete a file if it is there.

        Raises:
            OSError: it cannot be deleted.

        """
        with suppress(FileNotFoundError):
            with_retries(lambda: self._fs.rm_file(self._path(name)), f"deleting {name}")

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete several files that may be there.

        Raises:
            OSError: one is there and cannot be deleted.

        """
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self.delete, names))

    def unavailable(self, error: OSError) -> EnvironmentFailure:
        """Return the failure of a run that cannot go on without what was refused."""
        return store_unavailable(error, self.shown)

    def listed(self, below: str = "") -> dict[str, FileState]:
        """Return the state of every file below a folder as it is now, by name; folders are none.

        Raises:
            OSError: it cannot be listed.

        """
        root = self.location.path.rstrip("/")
        path = self._path(below) if below else root
        found = with_retries(lambda: self._fs.find(path, detail=True), f"listing {self.shown}")
        states = {}
        for key, info in found.items():
            name = str(key)[len(root) :].removeprefix("/")
            is_folder = info["type"] == "directory" or (name.endswith("/") and not info["size"])
            if not is_folder:
                states[to_locale(name)] = state_of(info)
        return states

    def remove_left_behind(self, is_ours: Callable[[str], bool]) -> None:
        """Abort uploads and delete temporary files that a killed run left.

        Args:
            is_ours: whether a file of that name is one that colorbatch writes; uploads to others are not touched.

        """
        if not self.is_object_store:
            self.delete_all([name for name in self.listed() if atomic.is_temporary(PurePosixPath(name).name)])
        if self._is_s3:
            root = self._path("") + "/"
            self._abort_uploads(root, lambda path: is_ours(to_locale(path.removeprefix(root))))

    def cleanup(self) -> None:
        """Try once more to remove what failed writes left."""
        for path in tuple(self._leftovers):
            self._leftovers.discard(path)
            if self._is_s3:
                self._abort_uploads_to(path)
            else:
                self._delete_temporary(path)
        if self._leftovers:
            logger.warning("Left behind in the store: %s", printable(", ".join(sorted(self._leftovers))))

    def _abort_uploads_to(self, path: str) -> None:
        """Abort all uploads in parts to a key of S3; where that fails, :meth:`cleanup` tries again."""
        if not self._abort_uploads(path, lambda each: each == path):
            self._leftovers.add(path)

    def _abort_uploads(self, start: str, is_ours: Callable[[str], bool]) -> bool:
        """Abort those uploads in parts to S3 that are ours, of all to paths with that start; return whether it could.

        Until then their parts are kept, and paid for.
        """
        bucket, _, prefix = start.partition("/")

        def abort() -> None:
            marker: dict[str, str] | None = {}
            while marker is not None:
                found = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **marker)
                for each in found.get("Uploads", ()):
                    if is_ours(f"{bucket}/{each['Key']}"):
                        name = {"Bucket": bucket, "Key": each["Key"], "UploadId": each["UploadId"]}
                        self._fs.call_s3("abort_multipart_upload", **name)
                has_more = found.get("IsTruncated")
                marker = (
                    {f"{key}Marker": found[f"Next{key}Marker"] for key in ("Key", "UploadId")} if has_more else None
                )

        try:
            with_retries(abort, f"listing uploads to {start}")
        except OSError as error:
            logger.info("Uploads to %s could not be listed: %s", start, error.strerror or error)
            return False
        return True

    def _delete_temporary(self, path: str) -> None:
        try:
            self._fs.rm_file(path)
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 (what went wrong first is what matters)
            logger.info("%s could not be deleted: %s", path, as_os_error(error))
            self._leftovers.add(path)

    @property
    def _is_s3(self) -> bool:
        return hasattr(self._fs, "list_multipart_uploads")

    def _path(self, name: str) -> str:
        root = self.location.path.rstrip("/")
        return f"{root}/{to_utf_8(name)}" if name else root

    def _checked(self, path: str, data: bytes) -> bytes:
        """Return what was read if it is as long as the store says that it is.

        Raises:
            CutError: it is not.

        """
        size = self._info(path).bytes
        if len(data) != size:
            raise CutError(errno.ECONNRESET, f"the store sent {len(data)} of {size} bytes")
        return data

    def _info(self, path: str) -> FileState:
        self._fs.invalidate_cache(path)
        return state_of(self._fs.info(path))

    def _put(self, path: str, data: bytes, *, may_replace: bool) -> FileState:
        if self.is_object_store:
            return self._uploaded(path, data, may_replace=may_replace)
        parent, _, _ = path.rpartition("/")
        temporary = f"{parent}/{atomic.temporary_name()}"
        self._fs.makedirs(parent, exist_ok=True)
        try:
            self._fs.pipe_file(temporary, data)
            state = self._stored(temporary, data)
            self._refuse_existing(path, may_replace=may_replace)
            self._fs.mv(temporary, path)
        except BaseException:
            self._delete_temporary(temporary)
            raise
        return state

    def _uploaded(self, path: str, data: bytes, *, may_replace: bool) -> FileState:
        """Upload an object in one step, or in parts that are completed or aborted."""
        has_parts = self._is_s3 and len(data) >= 2 * PART_BYTES
        try:
            return self._uploaded_as_it_is(path, data, may_replace=may_replace)
        except FileNotFoundError as error:
            if not has_parts:
                raise
            # it may be complete, which the answer that was cut would have said: it is looked for, or done again
            raise CutError(errno.ECONNRESET, str(error)) from error
        finally:
            if has_parts:  # the library does not know of one whose name was in an answer that was cut
                self._abort_uploads_to(path)

    def _uploaded_as_it_is(self, path: str, data: bytes, *, may_replace: bool) -> FileState:
        parts = {"chunksize": PART_BYTES} if self._is_s3 else {}
        if may_replace or not self.can_create:
            self._refuse_existing(path, may_replace=may_replace)
            answer = self._fs.pipe_file(path, data, **parts)
        else:
            try:
                create = _CREATE.get(self.location.protocol, {"mode": "create"})
                answer = self._fs.pipe_file(path, data, **create, **parts)
            except (NotImplementedError, TypeError, ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                    raise
                logger.warning("%s does not support conditional writes: %s", self.shown, error)
                self.can_create = False
                return self._uploaded_as_it_is(path, data, may_replace=False)
        etag = etag_of(answer) if isinstance(answer, dict) else None
        return self._stored(path, data) if etag is None else FileState(len(data), etag)

    def _refuse_existing(self, path: str, *, may_replace: bool) -> None:
        if not may_replace and self._fs.exists(path):
            raise FileExistsError(errno.EEXIST, "it already exists")

    def _stored(self, path: str, data: bytes) -> FileState:
        """Return the state of what was written.

        Raises:
            CutError: it is not as long as it should be.

        """
        state = self._info(path)
        if state.bytes != len(data):
            raise CutError(errno.ECONNRESET, f"the store took {state.bytes} of {len(data)} bytes")
        return state
