"""Folders of a source that are skipped as a whole because of their names."""

_SYSTEM_FOLDERS = frozenset(
    {
        "$RECYCLE.BIN",  # Windows
        "System Volume Information",  # Windows
        "lost+found",  # ext4
        "@eaDir",  # Synology: thumbnails of every picture
        "#recycle",  # Synology
        "#snapshot",  # Synology
        "@Recycle",  # QNAP
        "@Recently-Snapshot",  # QNAP
        "__MACOSX",  # archives made on macOS: what resource forks hold
    }
)
"""Names of folders that operating systems and network drives make beside the user's own."""
_LOWER_CASE = frozenset(map(str.lower, _SYSTEM_FOLDERS))


def reason_to_skip(name: str) -> str:
    """Return why a folder of that name is skipped; empty if it is not."""
    if name.startswith("."):
        return "a hidden folder"
    return "a system folder" if name.lower() in _LOWER_CASE else ""
