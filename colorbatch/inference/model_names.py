"""The names of models: built-in ones, and those of files in the folders of ``COLORBATCH_MODELS``."""

import os
from importlib import resources
from pathlib import Path

SEARCH_PATH = "COLORBATCH_MODELS"
"""Environment variable with folders of models, separated as in ``PATH``."""
_SUFFIX = ".onnx"


def built_in_models() -> dict[str, Path]:
    """Return the models that ship with colorbatch, by name."""
    folder = Path(str(resources.files("colorbatch") / "models"))
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def search_folders() -> list[Path]:
    """Return the folders of :data:`SEARCH_PATH`, whether they exist or not; empty entries are left out."""
    return [Path(entry) for entry in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if entry.strip()]


def models_in(folder: Path) -> list[Path]:
    """Return the files of a folder, but not of those in it, that end in ``.onnx``, sorted by name.

    Raises:
        OSError: the folder cannot be read.

    """
    return sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX and path.is_file())


def named_models() -> dict[str, Path]:
    """Return all models that have a name, whether they keep the contract or not.

    A built-in model takes precedence over a file of the same name, and an earlier folder over a later one.
    """
    found = built_in_models()
    for folder in search_folders():
        try:
            files = models_in(folder)
        except OSError:  # there is no such folder now; the message for an unknown name says so
            continue
        for path in files:
            found.setdefault(path.stem, path)
    return found


def path_of(name_or_path: str) -> Path:
    """Return the path of the model with a name; a name that none has is itself a path.

    A name is that of a file and nothing else, so it never leads out of a folder.
    """
    path = Path(name_or_path)
    return path if path.suffix == _SUFFIX else named_models().get(name_or_path, path)


def where_searched(name: str) -> str:
    """Return where the file of a name was looked for, as the end of a sentence; empty: nowhere."""
    folders = [f"{folder}{'' if folder.is_dir() else ' (no such folder)'}" for folder in search_folders()]
    return f"; {name}{_SUFFIX} is not in {', '.join(folders)} ({SEARCH_PATH})" if folders else ""
