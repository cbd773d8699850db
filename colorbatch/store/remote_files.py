"""Requests to a store accessed through fsspec: an object store or a file server."""

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from colorbatch.errors import EnvironmentFailure, reason_of
from colorbatch.location import SCHEMES, shown
from colorbatch.store import atomic
from colorbatch.store.failures import CutError, as_os_error, store_unavailable, with_retries
from colorbatch.store.file_state import FileState, etag_of, state_of
from colorbatch.text import printable, to_locale, to_utf_8

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

_OPTIONS: dict[str, dict[str, Any]] = {
    # several pictures are read at a time, each with one request; listings are cached here
    "s3": {"max_concurrency": 1, "use_listings_cache": False},
    "gs": {"use_listings_cache": False},
    "gcs": {"use_listings_cache": False},
    "az": {"use_listings_cache": False},
    "abfs": {"use_listings_cache": False},
    "abfss": {"use_listings_cache": False},
}
_CREATE_ONLY: dict[str, dict[str, Any]] = {key: {"overwrite": False} for key in ("az", "abfs", "abfss")}
"""Arguments with which a library does not overwrite, where fsspec's ``mode="create"`` is not supported."""
PART_BYTES = 16 * 2**20
"""Part size of multipart uploads, whose parts are retried separately; smaller than two parts: a single upload."""
_MAX_REQUESTS = 16
"""Number of concurrent requests for small files: each spends most of its time waiting for an answer."""


class RemoteFiles:
    """The files below a location, each request with retries. May be used from several threads at once."""

    def __init__(self, location: "UPath") -> None:
        self.location = location
        self.can_create = True
        """Whether the store supports conditional writes: it refuses to create an object that exists."""
        self._opened: Any = None
        self._leftovers: set[str] = set()
        """Paths of temporary files that could not be deleted, and of uploads that could not be aborted."""

    def __reduce__(self) -> tuple[type["RemoteFiles"], tuple["UPath"]]:
        return type(self), (self.location,)

    @property
    def shown(self) -> str:
        """Its location without secrets, for messages and logs."""
        return shown(self.location).rstrip("/")

    @property
    def is_object_store(self) -> bool:
        """Whether uploads are atomic; otherwise files are written under a temporary name, then renamed."""
        scheme = SCHEMES.get(self.location.protocol)
        return scheme is not None and scheme.is_object_store

    @property
    def _fs(self) -> Any:  # noqa: ANN401 (fsspec has no types)
        """File system object of the library.

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
        """Return the content of a file; ``size``: its number of bytes if known, which saves a request.

        Raises:
            OSError: it cannot be read, or not completely.

        """
        path = self._path(name)

        def read_whole() -> bytes:
            data: bytes = self._fs.cat_file(path)
            return data if len(data) == size else self._check_size(path, data)  # otherwise it was replaced since

        return with_retries(read_whole, f"reading {name}")

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Return the contents of several small files.

        Raises:
            OSError: one cannot be read.

        """
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            return list(pool.map(self.read, names))

    def start_of(self, name: str, count: int) -> bytes:
        """Return at most ``count`` bytes from the start of a file, which must not be empty.

        Raises:
            OSError: it cannot be read.

        """
        path = self._path(name)

        def read_start() -> bytes:
            data: bytes = self._fs.cat_file(path, start=0, end=count)
            return data[:count]

        return with_retries(read_start, f"reading the start of {name}")

    def parts(self, name: str, count: int) -> Iterator[bytes]:
        """Yield a file in parts of ``count`` bytes, each with a request.

        Raises:
            OSError: it cannot be read, or was replaced meanwhile by one of another size.

        """
        path = self._path(name)
        size = with_retries(lambda: self._info(path), f"reading {name}").bytes

        def read_part(start: int, end: int) -> bytes:
            data: bytes = self._fs.cat_file(path, start=start, end=end)
            if len(data) != end - start:
                raise CutError(errno.ECONNRESET, f"the store sent {len(data)} of {end - start} bytes")
            return data

        for start in range(0, size, count):
            end = min(start + count, size)
            yield with_retries(partial(read_part, start, end), f"reading {name}")

    def put_file(self, name: str, local: Path) -> FileState:
        """Write a file atomically from one of this machine, which may be of any size; an existing one is replaced.

        Raises:
            OSError: it cannot be written.

        """
        path = self._path(name)
        return with_retries(lambda: self._put_file(path, local), f"writing {name}")

    def put(self, name: str, data: bytes, *, may_replace: bool) -> FileState:
        """Write a file atomically; unlike :meth:`write`, not for outputs.

        Raises:
            FileExistsError: the name exists and may not be replaced.
            OSError: it cannot be written.

        """
        path = self._path(name)
        return with_retries(lambda: self._put(path, data, may_replace=may_replace), f"writing {name}")

    def delete(self, name: str) -> None:
        """Delete a file if it exists.

        Raises:
            OSError: it cannot be deleted.

        """
        with suppress(FileNotFoundError):
            with_retries(lambda: self._fs.rm_file(self._path(name)), f"deleting {name}")

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete several files, those that exist.

        Raises:
            OSError: one exists and cannot be deleted.

        """
        with ThreadPoolExecutor(_MAX_REQUESTS) as pool:
            list(pool.map(self.delete, names))

    def unavailable(self, error: OSError) -> EnvironmentFailure:
        """Return the error of a run that needs a request that was refused."""
        return store_unavailable(error, self.shown)

    def listed(self, below: str = "") -> dict[str, FileState]:
        """Return the current state of every file below a folder, by name; folders are excluded.

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
        """Abort uploads and delete temporary files that killed runs left.

        Args:
            is_ours: whether colorbatch writes a file of that name; uploads to other names are not touched.

        """
        if not self.is_object_store:
            self.delete_all([name for name in self.listed() if atomic.is_temporary(PurePosixPath(name).name)])
        if self._is_s3:
            root = self._path("") + "/"
            self._abort_uploads(root, lambda path: is_ours(to_locale(path.removeprefix(root))))

    def cleanup(self) -> None:
        """Try again to remove what failed writes left."""
        for path in tuple(self._leftovers):
            self._leftovers.discard(path)
            if self._is_s3:
                self._abort_uploads_to(path)
            else:
                self._delete_temporary(path)
        if self._leftovers:
            logger.warning("Left behind in the store: %s", printable(", ".join(sorted(self._leftovers))))

    def _abort_uploads_to(self, path: str) -> None:
        """Abort all multipart uploads to a key of S3; if that fails, :meth:`cleanup` tries again."""
        if not self._abort_uploads(path, lambda each: each == path):
            self._leftovers.add(path)

    def _abort_uploads(self, start: str, is_ours: Callable[[str], bool]) -> bool:
        """Abort our multipart uploads to S3 among those to paths with that prefix; return whether that succeeded.

        Until then their parts are stored, and paid for.
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
            logger.info("Uploads to %s could not be listed: %s", start, reason_of(error))
            return False
        return True

    def _delete_temporary(self, path: str) -> None:
        try:
            self._fs.rm_file(path)
        except FileNotFoundError:
            pass
        except Exception as error:  # noqa: BLE001 (the first error is what matters)
            logger.info("%s could not be deleted: %s", path, as_os_error(error))
            self._leftovers.add(path)

    @property
    def _is_s3(self) -> bool:
        return hasattr(self._fs, "list_multipart_uploads")

    def _path(self, name: str) -> str:
        root = self.location.path.rstrip("/")
        return f"{root}/{to_utf_8(name)}" if name else root

    def _check_size(self, path: str, data: bytes) -> bytes:
        """Return the data read if it has the size that the store reports.

        Raises:
            CutError: it has not.

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
            return self._upload(path, data, may_replace=may_replace)
        parent, _, _ = path.rpartition("/")
        temporary = f"{parent}/{atomic.temporary_name()}"
        self._fs.makedirs(parent, exist_ok=True)
        try:
            self._fs.pipe_file(temporary, data)
            state = self._state_of_written(temporary, len(data))
            self._refuse_existing(path, may_replace=may_replace)
            self._fs.mv(temporary, path)
        except BaseException:
            self._delete_temporary(temporary)
            raise
        return state

    def _put_file(self, path: str, local: Path) -> FileState:
        parent, _, _ = path.rpartition("/")
        target = path if self.is_object_store else f"{parent}/{atomic.temporary_name()}"
        size = local.stat().st_size
        try:
            if target != path:
                self._fs.makedirs(parent, exist_ok=True)
            self._fs.put_file(str(local), target, **({"chunksize": PART_BYTES} if self._is_s3 else {}))
            state = self._state_of_written(target, size)
            if target != path:
                self._fs.mv(target, path)
        except BaseException:
            if target != path:
                self._delete_temporary(target)
            raise
        finally:
            if self._is_s3 and size >= PART_BYTES:
                self._abort_uploads_to(path)
        return state

    def _upload(self, path: str, data: bytes, *, may_replace: bool) -> FileState:
        """Upload an object in a single request, or in parts that are completed or aborted."""
        has_parts = self._is_s3 and len(data) >= 2 * PART_BYTES
        try:
            return self._upload_once(path, data, may_replace=may_replace)
        except FileNotFoundError as error:
            if not has_parts:
                raise
            # the upload may have completed and only the response been lost: a retry checks, or uploads again
            raise CutError(errno.ECONNRESET, str(error)) from error
        finally:
            if has_parts:  # the library does not know an upload whose id was in a lost response
                self._abort_uploads_to(path)

    def _upload_once(self, path: str, data: bytes, *, may_replace: bool) -> FileState:
        parts = {"chunksize": PART_BYTES} if self._is_s3 else {}
        if may_replace or not self.can_create:
            self._refuse_existing(path, may_replace=may_replace)
            answer = self._fs.pipe_file(path, data, **parts)
        else:
            try:
                create = _CREATE_ONLY.get(self.location.protocol, {"mode": "create"})
                answer = self._fs.pipe_file(path, data, **create, **parts)
            except (NotImplementedError, TypeError, ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                    raise
                logger.warning("%s does not support conditional writes: %s", self.shown, error)
                self.can_create = False
                return self._upload_once(path, data, may_replace=False)
        etag = etag_of(answer) if isinstance(answer, dict) else None
        return self._state_of_written(path, len(data)) if etag is None else FileState(len(data), etag)

    def _refuse_existing(self, path: str, *, may_replace: bool) -> None:
        if not may_replace and self._fs.exists(path):
            raise FileExistsError(errno.EEXIST, "it already exists")

    def _state_of_written(self, path: str, size: int) -> FileState:
        """Return the state of the file just written.

        Raises:
            CutError: it does not have that size.

        """
        state = self._info(path)
        if state.bytes != size:
            raise CutError(errno.ECONNRESET, f"the store took {state.bytes} of {size} bytes")
        return state
