"""Show that the gauntlet can fail: deliberate faults in colorbatch, one at a time, each of which must turn it red.

Run it by hand, from anywhere: python tests/gauntlet/mutants.py [NAME ...]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GAUNTLET = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """A fault: a text of a file, which stands there once, and what is put in its place."""

    name: str
    file: str
    text: str
    fault: str
    cases: tuple[str, str]
    """A file of the gauntlet, and the cases in it, as pytest's -k has them."""

    def spoilt(self, content: str) -> str:
        """Return the content of the file with the fault in it.

        Raises:
            ValueError: the text does not stand there once.

        """
        if content.count(self.text) != 1:
            raise ValueError(f"{self.name}: {self.file} has it {content.count(self.text)} times: {self.text}")
        return content.replace(self.text, self.fault)


_WRITE = "run.output.write(name, encoded.content, may_replace=is_ours)"
_WRITE_LATER = 'threading.Timer(0.5, run.output.write, (name, encoded.content), {"may_replace": is_ours}).start()'
PROTOCOL = ("test_write_protocol.py", "")
MUTANTS = (
    Mutant(
        *("rename removed", "colorbatch/store/atomic.py", "temporary.replace(path)"),
        *("path.write_bytes(temporary.read_bytes())", PROTOCOL),
    ),
    Mutant("fsync removed", "colorbatch/store/atomic.py", "flush(file.fileno())", "pass", PROTOCOL),
    Mutant("row before file", "colorbatch/run/output.py", _WRITE, _WRITE_LATER, PROTOCOL),
    Mutant(
        *("luma separated with a fault", "colorbatch/formats/jpeg_separation.py", "_MIDDLE_OF_12_BITS = 2048"),
        *("_MIDDLE_OF_12_BITS = 2047", ("test_hostile_pictures.py", "every_kind")),
    ),
    Mutant(
        *("resume by existence only", "colorbatch/run/resume.py"),
        '        if self.of_output(name) not in (None, row.output_sha256):\n            return "altered"\n',
        *("", ("test_storage.py", "lost_or_altered")),
    ),
    Mutant(
        *("silent CPU fallback", "colorbatch/inference/provider.py", "    if _ORT_NAMES[words[0]] not in available:\n"),
        '    words = [each if _ORT_NAMES[each] in available else "cpu" for each in words]\n    if not available:\n',
        ("test_surroundings.py", "provider"),
    ),
    Mutant(
        *("luma changed by one level", "colorbatch/pixels/chroma.py"),
        "rgb = color.merge(color.luma_of(pixels[strip]), offsets)",
        "rgb = color.merge(color.luma_of(pixels[strip]) + 1 / 255, offsets)",
        ("test_hostile_pictures.py", "every_kind"),
    ),
    Mutant(
        *("lost sectors not noticed", "colorbatch/formats/jpeg_end.py", "if not coded or needed.find"),
        *("if True or needed.find", ("test_hostile_pictures.py", "lose_something")),
    ),
    Mutant(
        *("raw files read as their previews", "colorbatch/formats/decoders.py"),
        *("    if is_raw(data, pages):", "    if False:"),
        ("test_hostile_pictures.py", "every_kind"),
    ),
    Mutant(
        *("layers without a composite coloured", "colorbatch/formats/psd.py"),
        *("        _refuse_missing_composite(planes[..., :colors], sections)\n", ""),
        ("test_hostile_pictures.py", "lose_something"),
    ),
    Mutant(
        *("lock ignored", "colorbatch/store/lock.py"),
        "fcntl.flock(file.fileno(), (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)",
        *("pass", ("test_surroundings.py", "second_run or same_moment")),
    ),
    Mutant(
        *("mark left out", "colorbatch/run/colorize.py", "picture = _marked(picture, origin)", "pass"),
        ("test_surroundings.py", "summary"),
    ),
    Mutant(
        *("decisions forgotten", "colorbatch/run/resume.py"),
        "    if earlier.retouch_sha256 != (None if planned.retouch is None else planned.retouch.sha256):\n",
        *("    if False:\n", ("test_retouch_record.py", "decision")),
    ),
    Mutant(
        *("half-written files read", "colorbatch/run/watch.py", "self._since[name] = now - max(0.0, age)"),
        *("pass", ("test_watched_folder.py", "half")),
    ),
    Mutant(
        *("a replaced file not noticed", "colorbatch/run/watch.py"),
        "return self.files == other.files and _plain",
        *("return self.files.keys() == other.files.keys() and _plain", ("test_watched_folder.py", "week and polling")),
    ),
    Mutant(
        *("names flattened", "colorbatch/run/plan.py", "return [each for each in planned if each.input in mine]"),
        "return [replace(each, output_name=each.output_name.rpartition('/')[2]) for each in planned]",
        ("test_paths.py", "is_the_users_choice"),
    ),
    Mutant(
        *("exit 0 on failure", "colorbatch/cli/run.py", "ExitCode.PICTURES_FAILED if summary.failed else ExitCode.OK"),
        *("ExitCode.OK", ("test_surroundings.py", "summary")),
    ),
    Mutant(
        *("telemetry let go", "colorbatch/inference/provider.py", 'os.environ.setdefault(_NO_TELEMETRY, "1")', "pass"),
        ("test_surroundings.py", "summary"),
    ),
    Mutant(
        *("row not flushed to disk", "colorbatch/store/local_journal.py", "flush(self._file.fileno())", "pass"),
        PROTOCOL,
    ),
    Mutant(
        *("links in OUT followed", "colorbatch/store/local.py", "if not parent.is_relative_to(self.path.resolve()):"),
        *("if not parent:", ("test_paths.py", "written_through")),
    ),
    Mutant(
        *("one file over its source", "colorbatch/operations/one_file.py", "and output.samefile(source):"),
        *("and not output:", ("test_paths.py", "one_file_is_made")),
    ),
    Mutant(
        *(
            "anything read",
            "colorbatch/store/regular_files.py",
            "if stat.S_ISREG(os.fstat(file.fileno()).st_mode):",
            "if file:",
        ),
        ("test_storage.py", "endless"),
    ),
    Mutant(
        *("bag declared at once", "colorbatch/operations/package/writing.py"),
        "                present = [each for each in members if not each.url]\n",
        '                sink.write(bag.DECLARATION, [b"BagIt-Version: 1.0\\n"])\n'
        "                present = [each for each in members if not each.url]\n",
        ("test_packages.py", "killed"),
    ),
    Mutant(
        *("files of a bag not compared", "colorbatch/operations/package/delivery.py"),
        "    if found.size != member.size or member.sha256 not in (None, found.digests[0]):\n",
        *("    if False:\n", ("test_packages.py", "altered")),
    ),
    Mutant(
        *("parts taken for wholes", "colorbatch/run/colorize.py", "salvage=job.salvage", "salvage=True"),
        ("test_hostile_pictures.py", "cut_short"),
    ),
    Mutant(
        *(
            "picture lost with its process",
            "colorbatch/run/engines/children.py",
            "for _ in range(MAX_DEATHS_OF_A_PICTURE):",
        ),
        *("for _ in range(1):", ("test_interruption.py", "child_process")),
    ),
    Mutant(
        *("page for any name", "colorbatch/retouch/guard.py", "len(hosts) != 1 or hosts[0] not in self._hosts"),
        *("len(hosts) != 1", ("test_retouch_page.py", "strangers")),
    ),
    Mutant(
        *("page without a token", "colorbatch/retouch/guard.py", "hmac.compare_digest(first.encode(), self._token)"),
        *("first", ("test_retouch_page.py", "strangers")),
    ),
    Mutant(
        *(
            "save over another's",
            "colorbatch/retouch/session.py",
            "version is not None and version_of(present) != version",
        ),
        *("False", ("test_retouch_page.py", "not_seen")),
    ),
)
"""The first ten were asked for; the others are faults that the gauntlet found, or that stand for its other areas."""


def copied(place: Path) -> None:
    """Copy the two packages."""
    for name in ("colorbatch", "export/colorbatch_export"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))


def failing(place: Path, cases: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the first case that is red with the packages in ``place``, and all that pytest says."""
    environment = os.environ | {"PYTHONPATH": f"{place}{os.pathsep}{place / 'export'}", "PYTHONDONTWRITEBYTECODE": "1"}
    said = ""
    for file, chosen in cases:
        choice = ("-k", chosen) if chosen else ()
        options = ("-q", "-n", "0", "-x", "-m", "gauntlet", "-p", "no:cacheprovider")
        command = [sys.executable, "-m", "pytest", *options, GAUNTLET / file, *choice]
        found = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        said += found.stdout
        if found.returncode not in {0, 1}:
            raise RuntimeError(f"pytest did not run: {found.stdout[-2000:]}{found.stderr[-2000:]}")
        red = [line.split(" - ")[0] for line in found.stdout.splitlines() if line.startswith("FAILED ")]
        if red:
            return red[0].rpartition("::")[2], said
    return "", said


def main() -> int:
    """Print the table, and return how many faults were not noticed."""
    chosen = [each for each in MUTANTS if not sys.argv[1:] or each.name in sys.argv[1:]]
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="colorbatch-mutants-") as folder:
        copied(Path(folder, "sound"))
        red, said = failing(Path(folder, "sound"), sorted({each.cases for each in chosen}))
        if red:
            raise RuntimeError(f"without a fault, {red} is red:\n{said}")
        print(f"{'fault':28} {'seconds':>7}  red")
        for mutant in chosen:
            place = Path(folder, mutant.name)
            copied(place)
            file = place / mutant.file
            file.write_text(mutant.spoilt(file.read_text(encoding="utf-8")), encoding="utf-8")
            started = time.monotonic()
            red, _ = failing(place, [mutant.cases])
            unnoticed += not red
            print(f"{mutant.name:28} {time.monotonic() - started:7.1f}  {red or 'NOTHING'}", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(main())
