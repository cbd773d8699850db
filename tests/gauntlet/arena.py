"""Where the command is attacked from outside: a tree, what surrounds it, a run, and what must be true after every one.

Nothing here asks colorbatch what is right: pictures are decoded by Pillow and tifffile, hashes are hashlib's.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from gauntlet.facts import (
    MANIFEST,
    STATE,
    Ended,
    broken_files,
    differences,
    facts_of,
    files,
    rows_of,
    sha256,
    snapshot,
    unaccounted,
    unfinished,
)
from helpers import small_model
from PIL import Image

FINISHED = frozenset({0, 1, 130, 143})
"""Exit codes of runs that close their manifest."""
REFUSED = frozenset({2, 3, 5})
"""Exit codes of runs that leave the output folder as they found it."""
_PATIENCE = 180.0
"""Seconds after which a run counts as one that never ends, on a busy machine."""
_GREY = ("jpg", "png", "tif", "webp")


def needs(reason: str, *, there: bool) -> None:
    """Skip a case that this machine has no means for; where CI is set, fail."""
    if not there:
        if os.environ.get("CI"):
            pytest.fail(f"this case needs {reason}")
        pytest.skip(f"needs {reason}")


def needs_root() -> None:
    needs("root", there=os.geteuid() == 0)


def unprivileged() -> Sequence[str]:
    """Return what begins a command that heeds permissions: as root, one without root's way around them."""
    if os.geteuid() != 0:
        return ()
    needs("setpriv", there=shutil.which("setpriv") is not None)
    caps = "-dac_override,-dac_read_search"
    return ("setpriv", f"--inh-caps={caps}", f"--bounding-set={caps}")


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """Mount something on a folder of a case, and take it away again whatever happens."""
    needs_root()
    assert "pytest" in str(folder), "only below tmp_path"
    folder.mkdir(parents=True, exist_ok=True)
    found = subprocess.run(["mount", *arguments, folder], capture_output=True, text=True, check=False)  # noqa: S607
    needs(f"mount {' '.join(arguments)}: {found.stderr}", there=found.returncode == 0)
    try:
        yield folder
    finally:
        if subprocess.run(["umount", folder], check=False).returncode != 0:  # noqa: S607
            subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


def remounted(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)  # noqa: S607


class Arena:
    """A folder of pictures, a place for outputs, and bystanders, in a folder of their own."""

    def __init__(self, root: Path, kept: Path) -> None:
        """Make the folder.

        Args:
            root: the folder.
            kept: where arenas of one session keep what runs left that nothing disturbed, for the next that needs it.

        """
        self.root, self._kept = root, kept
        self.source, self.output = root / "source", root / "place" / "out"
        self.elsewhere, self.scratch, self.home = (root / name for name in ("elsewhere", "scratch", "home"))
        self.model = root / "models" / "small.onnx"
        for folder in (self.source, self.output.parent, self.elsewhere, self.scratch, self.home, self.model.parent):
            folder.mkdir(parents=True)
        self.model.write_bytes(small_model().SerializeToString())
        (self.elsewhere / "precious.txt").write_text("of the user's")
        Image.linear_gradient("L").resize((40, 30)).save(self.elsewhere / "secret.png")

    def fill(self, count: int, *, side: int = 24) -> None:
        """Make grey pictures of several kinds, in several folders, and a file that is none."""
        for number in range(count):
            name = f"{number % 3}/{number:03}.{_GREY[number % len(_GREY)]}" if number % 5 else f"{number:03}.png"
            self.add(name, seed=number, side=side)
        (self.source / "notes.txt").write_text("no picture")

    def add(self, name: str, *, seed: int = 0, side: int = 24) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey(seed, side).save(path)
        return path

    def run(
        self,
        *options: object,
        codes: Collection[int],
        source: Path | str | None = None,
        output: Path | str | None = None,
        really: Path | None = None,
        foreign: Collection[str] = (),
        gone: Collection[str] = (),
        **how: Any,  # noqa: ANN401 (those of command)
    ) -> Ended:
        """Run ``colorbatch run`` over the tree, and assert all that must be true afterwards.

        Args:
            options: of the command, besides the model.
            codes: of which one must be its exit code.
            source: as the command is given it; by default the tree.
            output: as the command is given it; by default the place for outputs.
            really: where the output folder lies, if ``output`` is another spelling of it.
            foreign: paths below the output folder that the user put there: they must stay as they are.
            gone: sources that are not there any more, or never were, and may have rows.
            how: as :meth:`command` has it.

        """
        arguments = ("--model", self.model, *options, "--", source or self.source, output or self.output)
        folder = really or (Path(output) if output else self.output)
        times_aside = (folder / STATE / "journal",)  # of the folders that hold it: a look at a lock leaves its time
        before, theirs = snapshot(folder, times_aside), facts_of(folder, foreign)
        ended = self.command("run", *arguments, codes=codes, writes=(folder,), **how)
        found: list[str] = []
        is_killed = how.get("is_killed", False)
        if ended.code in REFUSED and not is_killed:
            found += differences(before, snapshot(folder, times_aside), "in OUT")
        else:
            found += broken_files(folder, foreign, are_temporary_allowed=is_killed)
        if facts_of(folder, foreign) != theirs:
            found.append("a file of the user's in OUT was changed")
        if ended.code in FINISHED and not is_killed:
            ended = replace(ended, rows=rows_of(folder / MANIFEST))
            found += unfinished(folder, ended, foreign)
            found += unaccounted(Path(source) if source else self.source, ended.rows, gone)
        _complain(found, ended)
        return ended

    def command(
        self,
        *arguments: object,
        codes: Collection[int],
        writes: Collection[Path] = (),
        altered: Collection[Path] = (),
        begin: Sequence[str] = (),
        environment: Mapping[str, str | None] | None = None,
        limits: Mapping[int, int] | None = None,
        during: "Callable[[subprocess.Popen[bytes]], None] | None" = None,
        is_killed: bool = False,
        cwd: Path | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> Ended:
        """Run any ``colorbatch`` command, and assert what must be true of a process and of all that it may not touch.

        Args:
            arguments: of the command.
            codes: of which one must be its exit code.
            writes: folders that it may write to.
            altered: files and folders that the case itself changes meanwhile.
            begin: what comes before the command, such as a tool that starts it.
            environment: what is set, or taken away by ``None``.
            limits: of resources, by their numbers.
            during: what the case does while the command runs.
            is_killed: whether the case kills it, so that it cannot tidy up and has no exit code of its own.
            cwd: where it is started.
            stdin: of the process.
            stdout: of the process.
            stderr: of the process.

        """
        before = snapshot(self.root, writes, altered)
        started = time.monotonic()
        process = subprocess.Popen(
            [*begin, sys.executable, "-m", "colorbatch", *map(os.fspath, map(_text, arguments))],
            env=self._environment(environment or {}),
            cwd=cwd or self.home,
            preexec_fn=partial(_limit, limits or {}),  # noqa: PLW1509 (it takes no lock that another thread may hold)
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        with process:
            try:
                if during is not None:
                    during(process)
                said, told = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail(f"it did not end within {_PATIENCE} s: {_shown(process.communicate()[1] or b'')}")
            finally:
                process.kill()
        ended = Ended(process.returncode, said or b"", told or b"", time.monotonic() - started)
        found = differences(before, snapshot(self.root, writes, altered), "outside OUT")
        if b"Traceback" in ended.stdout + ended.stderr or b"met a bug" in ended.stderr:
            found.append("a bug of colorbatch's came to light")
        if is_killed:
            codes = {*codes, -signal.SIGKILL}
        if ended.code not in codes:
            found.append(f"the exit code is none of {sorted(codes)}")
        _complain(found, ended)
        return ended

    def outputs(self, folder: Path | None = None) -> Mapping[str, str]:
        """Return the sha256 of every output, by its path."""
        folder = folder or self.output
        return {name: sha256(folder / name) for name in files(folder)}

    def straight(self, *options: object) -> Mapping[str, str]:
        """Return the outputs of a run that nothing disturbs; over the same pictures it is done once in a session."""
        sources = sorted((name, sha256(self.source / name)) for name in files(self.source))
        case = repr((sources, sha256(self.model), [str(each) for each in options]))
        record = self._kept / f"{hashlib.sha256(case.encode()).hexdigest()}.json"
        if not record.exists():
            folder = self.root / "place" / "straight"
            self.run(*options, codes={0}, output=folder)
            record.write_text(json.dumps(self.outputs(folder)))
        found: dict[str, str] = json.loads(record.read_text())
        return found

    def fill_and_run(self, count: int, *, side: int = 24) -> None:
        """Make pictures as :meth:`fill` does, and colour them; pictures and outputs are made once in a session."""
        made = self._kept / f"{count} of {side}"
        if not made.exists():
            self.fill(count, side=side)
            self.run(codes={0})
            shutil.copytree(self.source, made / "source")
            shutil.copytree(self.output, made / "out")
            return
        self.source.rmdir()
        shutil.copytree(made / "source", self.source)  # with the times of everything
        shutil.copytree(made / "out", self.output)

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG")
        path = os.environ.get("PYTHONPATH", "")
        given = {key: os.environ[key] for key in kept if key in os.environ} | {
            "PYTHONPATH": os.pathsep.join(os.path.abspath(each) for each in path.split(os.pathsep) if each),  # noqa: PTH100
            "HOME": str(self.home),
            "TMPDIR": str(self.scratch),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        return {key: value for key, value in {**given, **changes}.items() if value is not None}


def grey(seed: int, side: int = 24) -> Image.Image:
    """Return a grey picture that no other one is like."""
    random = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(side), np.arange(side + 6)) * (200 / (2 * side + 6))
    return Image.fromarray((slope + random.integers(0, 50, slope.shape)).astype(np.uint8))


def at_outputs(
    folder: Path, count: int, action: "Callable[[subprocess.Popen[bytes]], object]"
) -> "Callable[[subprocess.Popen[bytes]], None]":
    """Return what does something once there are so many outputs, or the run is over."""

    def during(process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + _PATIENCE
        while len(files(folder)) < count and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        action(process)

    return during


def sent(*numbers: signal.Signals) -> "Callable[[subprocess.Popen[bytes]], None]":
    """Return what sends signals, one after the other."""

    def action(process: "subprocess.Popen[bytes]") -> None:
        for index, number in enumerate(numbers):
            time.sleep(0.3 if index else 0)
            process.send_signal(number)

    return action


def _limit(limits: Mapping[int, int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started the tests under nohup ignores it
    for each, most in limits.items():
        resource.setrlimit(each, (most, most))


def _text(argument: object) -> Any:  # noqa: ANN401 (str, bytes or a path)
    return argument if isinstance(argument, str | bytes | os.PathLike) else str(argument)


def _complain(found: list[str], ended: Ended) -> None:
    assert not found, "\n".join(
        [*found[:20], f"exit code {ended.code}, {ended.seconds:.1f} s", _shown(ended.stderr), _shown(ended.stdout)]
    )


def _shown(said: bytes) -> str:
    return said.decode(errors="backslashreplace")[-2000:]
