"""Diagnose what works on this machine, by trying it."""

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from colorbatch import machine
from colorbatch.errors import ColorbatchError, OutputUnwritableError, ProviderUnavailableError
from colorbatch.inference.model_file import ModelFile, read_model_file
from colorbatch.inference.model_names import built_in_models
from colorbatch.job import DEFAULT_MODEL, ProviderName
from colorbatch.machine import container_memory, machine_memory, usable_cores
from colorbatch.store import atomic
from colorbatch.version import __version__

if TYPE_CHECKING:
    from colorbatch.formats.trial import Trial

_T = TypeVar("_T")
_RUNTIMES = ("cpu", "cuda")
"""Extras that cannot be installed together; one of them is enough."""
_REINSTALL = "pip install --upgrade --force-reinstall colorbatch"


@dataclass(frozen=True)
class ProviderState:
    """Whether a model ran on an execution provider."""

    name: str
    """Name of the provider, as in ``--provider``."""
    problem: str
    """Error message of the provider; empty: the model ran."""


@dataclass(frozen=True)
class ModelState:
    """Whether a built-in model can be opened and run."""

    name: str
    bytes: int
    sha256: str
    """Hash of the file; empty: it is damaged."""
    problem: str


@dataclass(frozen=True)
class ExtraState:
    """Which packages of an extra are not installed."""

    name: str
    missing: Sequence[str]
    pip: str
    """Command that installs it; empty: nothing is missing."""


@dataclass(frozen=True)
class FolderState:
    """Whether files can be written to a folder."""

    path: str
    tried_in: str
    """The folder itself, or the first one above it that exists: ``run`` creates what is missing."""
    bytes_free: int | None
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """The result of all tests."""

    versions: dict[str, str]
    """Versions of colorbatch, Python and every installed package that colorbatch or one of its extras names."""
    system: str
    cores: int
    """Number of cores of the machine."""
    cores_allowed: int
    """Number of cores that this process may use: as many pictures are processed at the same time."""
    memory: int
    """Memory of the machine, in bytes."""
    memory_limit: int | None
    """Memory limit of the container in bytes; ``None``: it has none below that of the machine."""
    providers: Sequence[ProviderState]
    models: Sequence[ModelState]
    codecs: "Sequence[Trial]"
    extras: Sequence[ExtraState]
    folder: FolderState | None
    has_gpu: bool
    """Whether the machine has an NVIDIA GPU with a driver."""
    problems: Sequence[str]
    """Reasons why ``run`` cannot work here."""

    @property
    def works(self) -> bool:
        """Whether ``run`` can work here."""
        return not self.problems


def diagnose(folder: Path | None = None) -> Diagnosis:
    """Test everything that ``run`` needs or may use, and whether it could write to ``folder``.

    Nothing is left behind, and nothing is raised: failures are part of the result.
    """
    models = [_try_model(name, path) for name, path in built_in_models().items()]
    providers = _try_providers(models)
    codecs, codecs_problem = _attempt(_try_codecs)
    state = None if folder is None else _try_folder(folder)
    problems = [codecs_problem] if codecs_problem else []
    problems += [f"{each.kind}: {each.problem}" for each in codecs or () if each.is_needed and each.problem]
    if DEFAULT_MODEL not in {each.name for each in models if each.sha256}:
        problems.append(f"the model {DEFAULT_MODEL} is missing or damaged. Install colorbatch again with: {_REINSTALL}")
    elif all(each.problem for each in providers):
        problems += [f"no provider works; {each.name}: {each.problem}" for each in providers[:1]]
    if state is not None and state.problem:
        problems.append(f"{state.path}: {state.problem}")
    named = _packages_by_extra()
    return Diagnosis(
        versions={"colorbatch": __version__, "python": platform.python_version(), **_versions(named)},
        system=platform.platform(),
        cores=os.cpu_count() or 1,
        cores_allowed=usable_cores(),
        memory=machine_memory(),
        memory_limit=container_memory(),
        providers=providers,
        models=models,
        codecs=codecs or [],
        extras=[_state_of(extra, packages, named) for extra, packages in named.items() if extra],
        folder=state,
        has_gpu=machine.has_nvidia_gpu(),
        problems=problems,
    )


def _attempt(work: Callable[[], _T]) -> tuple[_T | None, str]:
    """Return the result of ``work`` and an empty message, or ``None`` and what went wrong."""
    try:
        return work(), ""
    except ColorbatchError as error:
        return None, error.in_full
    except ImportError as error:
        return None, f"{error}. Install colorbatch again with: {_REINSTALL}"
    except Exception as error:  # noqa: BLE001 (whatever is broken here, the rest is still reported)
        return None, f"{type(error).__name__}: {error}"


def _try_model(name: str, path: Path) -> ModelState:
    model, problem = _attempt(lambda: read_model_file(name))
    if model is None:
        return ModelState(name, path.stat().st_size, "", problem)
    return ModelState(name, model.size, model.sha256, _attempt(lambda: _run(model, "cpu"))[1])


def _try_providers(models: Sequence[ModelState]) -> list[ProviderState]:
    """Try the default model on each provider; ``models`` were tried on the CPU."""
    on_cpu = {each.name: each.problem for each in models}
    states = []
    for name in get_args(ProviderName):
        if name == "cpu" and DEFAULT_MODEL in on_cpu:
            states.append(ProviderState(name, on_cpu[DEFAULT_MODEL]))
        elif name != "auto":
            states.append(_try_provider(name))
    return states


def _try_provider(name: ProviderName) -> ProviderState:
    return ProviderState(name, _attempt(lambda: _run(read_model_file(DEFAULT_MODEL), name))[1])


def _run(model: ModelFile, provider: ProviderName) -> None:
    """Open a model, and run it on a small picture."""
    import numpy as np

    from colorbatch.inference.session import Session

    side = model.contract.size_multiple
    session = Session(model, provider)
    session.predict(np.linspace(0, 1, side**2, dtype=np.float32).reshape(1, 1, side, side))
    if session.provider != provider:
        raise ProviderUnavailableError(f"the provider {provider} started, but failed at its first picture")


def _try_codecs() -> "list[Trial]":
    from colorbatch.formats.trial import try_all

    return try_all()


def _try_folder(folder: Path) -> FolderState:
    nearest, problem = _attempt(lambda: machine.nearest_existing(folder))
    if nearest is not None:
        _, problem = _attempt(lambda: _write_and_remove(nearest))
    return FolderState(str(folder), str(nearest or folder), machine.bytes_free(folder), problem)


def _write_and_remove(folder: Path) -> None:
    """Write a file as outputs are written, read it back, and remove it."""
    if not folder.is_dir():
        raise OutputUnwritableError(f"{folder} is not a folder", advice="Give a folder.")
    path, content = atomic.temporary_path(folder), os.urandom(64)
    try:
        atomic.write_bytes(path, content)
        if path.read_bytes() != content:
            raise OutputUnwritableError("the data read back is not what was written", advice="Check the disk.")
    finally:
        path.unlink(missing_ok=True)


def _packages_by_extra() -> dict[str, list[str]]:
    """Return the packages of each extra of the installed colorbatch, by extra; those that it always needs under "".

    The result is empty if colorbatch is not installed as a package.
    """
    try:
        lines = requires("colorbatch") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        marker = re.fullmatch(r"""[^;]+(?:; *extra *== *["']([\w-]+)["'])?""", line)
        if name and marker:  # other lines are for other versions of Python
            found.setdefault(marker[1] or "", []).append(name[0])
    return found


def _versions(named: dict[str, list[str]]) -> dict[str, str]:
    packages = dict.fromkeys(package for packages in named.values() for package in packages)
    versions = {package: _version_of(package) for package in packages}
    return {package: found for package, found in versions.items() if found}


def _version_of(package: str) -> str:
    """Return the version of an installed package, without importing it; empty: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _state_of(extra: str, packages: Sequence[str], named: dict[str, list[str]]) -> ExtraState:
    missing = [package for package in packages if not _version_of(package)]
    pip = f"pip install 'colorbatch[{extra}]'" if missing else ""
    others = [package for other in _RUNTIMES if other != extra for package in named.get(other, [])]
    if missing and extra in _RUNTIMES and any(map(_version_of, others)):
        pip = f"pip uninstall {' '.join(others)} && {pip}"
    return ExtraState(extra, missing, pip)
