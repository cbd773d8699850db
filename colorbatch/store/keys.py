"""Names of store keys as sources: a key may contain anything, a source is a path below a folder."""

from collections.abc import Iterable, Iterator, Mapping

from colorbatch.store import platforms
from colorbatch.store.file_state import FileState
from colorbatch.store.report_folder import MARKER_NAME, REPORT_FOLDER
from colorbatch.store.skipped_folders import reason_to_skip
from colorbatch.store.store import Entry

_VERSION_SUFFIX = "?versionId="
"""What s3fs takes for the end of the key and the start of a version."""


def entries_of(states: Mapping[str, FileState]) -> Iterator[Entry]:
    """Yield the entries of a listing; a hidden or system folder, or a report of colorbatch, is one entry."""
    names = names_of(states)
    folders: dict[str, Entry] = {}
    for key, state in states.items():
        folder, problem = _folder_to_skip(key, states)
        if folder:
            folders[folder] = Entry(key, folder, state, problem, is_folder=True)
        elif not state.is_file:
            yield Entry(key, names[key], state, "not a regular file")
        else:
            problem = refusal(key)
            yield Entry(key, names[key], state, problem, is_failure=bool(problem))
    yield from folders.values()


def refusal(key: str) -> str:
    """Return why a key cannot be a source; empty if it can."""
    parts = key.split("/")
    if "" in parts:
        return "its key has an empty part, which no folder can have"
    if "." in parts or ".." in parts:
        return "its key has '.' or '..' as a part"
    if "\0" in key:
        return "its key has a zero byte, which no file name can have"
    if _VERSION_SUFFIX in key:
        return "its key looks like that of an object version"
    return platforms.problem_on_windows(key) if platforms.IS_WINDOWS else ""


def names_of(keys: Iterable[str]) -> Mapping[str, str]:
    """Return the name of each key as a source; a key that cannot be one gets a unique name with ``%``."""
    keys = list(keys)
    names = {key: key for key in keys if not refusal(key)}
    taken = set(names)
    for key in keys:
        if key in names:
            continue
        name = "/".join(map(_escaped, key.split("/")))
        while name in taken:
            name = f"%{name}"
        taken.add(name)
        names[key] = name
    return names


def _escaped(part: str) -> str:
    if part in ("", ".", ".."):
        return "%2E" * len(part) or "%"
    return part.replace("\0", "%00")


def _folder_to_skip(key: str, keys: Mapping[str, object]) -> tuple[str, str]:
    """Return the outermost folder of a key that is skipped as a whole, and why; empty strings: none is."""
    parts = key.split("/")[:-1]
    for index, part in enumerate(parts):
        folder = "/".join(parts[: index + 1])
        if part in ("", ".", ".."):
            return "", ""
        reason = reason_to_skip(part)
        if reason:
            return folder, reason
        if part == REPORT_FOLDER and f"{folder}/{MARKER_NAME}" in keys:
            return folder, "a report of colorbatch"
    return "", ""
