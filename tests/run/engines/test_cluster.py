"""A real Ray cluster of two nodes on this machine; a third one comes and goes."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Foe, LocalJob, comparable_rows, endless_model, outputs_below, small_model, wait_until
from PIL import Image
from stores import ENVIRONMENT, S3

from colorbatch.errors import EnvironmentFailure, ModelRefusedError
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import RayOptions
from colorbatch.operations.audit import audit_batch
from colorbatch.progress import SilentProgress
from colorbatch.records.manifest import MANIFEST_NAME, announcement
from colorbatch.records.state_folder import STATE_FOLDER
from colorbatch.run.batch import run_batch
from colorbatch.run.engines import pool as pool_module
from colorbatch.run.engines import worker as worker_module
from colorbatch.run.engines.worker import Worker
from colorbatch.version import __version__

os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"})  # read when Ray is imported
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
MARK = f"COLORBATCH_TESTED_BY={os.getpid()}"
"""In the environment of all that is started here."""
PICTURES = 40
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class Watcher(SilentProgress):
    """Does something once, after a number of pictures."""

    def __init__(self, after: int = 0, act: Callable[[], object] = lambda: None) -> None:
        self.steps = 0
        self._after = after
        self._act = act

    def advance(self, steps: int = 1, **_: float | None) -> None:
        before, self.steps = self.steps, self.steps + steps
        if before < self._after <= self.steps:
            self._act()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ["COLORBATCH_TESTED_BY"] = str(os.getpid())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture
def job(tmp_path: Path, model_path: Path) -> LocalJob:
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        path = tmp_path / "in" / f"box {number % 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(20, 230, (200, 300 + number), dtype=np.uint8)).save(path)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0no")
    (tmp_path / "in" / "notes.txt").touch()
    return LocalJob(tmp_path / "in", tmp_path / "out", str(model_path), "cpu", engine="ray")


def local(job: LocalJob) -> LocalJob:
    return replace(job, engine="threads", output=job.output.with_name("local"))


def workers() -> list[int]:
    """Return the processes of workers of clusters that this process has started, by what Ray calls them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_worker = (process / "cmdline").read_bytes().startswith(b"ray::Worker")
            if is_worker and MARK.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def kill_workers(count: int | None = None) -> None:
    for pid in workers()[:count]:
        os.kill(pid, signal.SIGKILL)


def write_and_note(job: LocalJob, name: str, data: bytes) -> None:
    """Do what a worker does before it dies: note an output, and write it."""
    for notes in (job.output / STATE_FOLDER).glob("announced-*-[1-9].jsonl"):
        with notes.open("ab") as file:
            file.write(announcement(name, hashlib.sha256(data).hexdigest()))
    path = job.output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def assert_as_if_done_here(job: LocalJob) -> None:
    run_batch(local(job))
    assert outputs_below(job.output) == outputs_below(local(job).output)
    assert comparable_rows(job.output) == comparable_rows(local(job).output)
    assert not (job.output / STATE_FOLDER).exists()
    assert audit_batch(job.output, job.source).is_sound


@pytest.mark.usefixtures("nodes")
def test_a_cluster_makes_the_same_files_and_rows(job: LocalJob) -> None:
    (job.source / "box 0/00.xmp").write_text(f'<rdf:RDF xmlns:rdf="{RDF}"/>')
    job, watcher = replace(job, sidecars="copy"), Watcher()
    summary = run_batch(job, watcher)
    assert (summary.done, summary.kept, summary.skipped, summary.failed) == (PICTURES, 0, 2, 1)
    assert summary.provider == "cpu"
    assert set(summary.stages) == {"read", "decode", "network", "encode", "write"}
    assert watcher.steps == PICTURES + 3
    assert (job.output / "box 0/00.png.xmp").exists()
    again = run_batch(job)
    assert (again.done, again.kept) == (PICTURES, PICTURES)
    assert_as_if_done_here(job)
    wait_until(lambda: workers() == [])  # Ray ends them in the background


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_picture(job: LocalJob, nodes: Any) -> None:  # noqa: ANN401 (Ray's)
    third = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    watcher = Watcher(10, lambda: nodes.remove_node(third, allow_graceful=False))
    summary = run_batch(job, watcher)
    assert (summary.done, summary.failed) == (PICTURES, 1)
    assert_as_if_done_here(job)


@pytest.mark.usefixtures("nodes")
def test_a_worker_that_is_killed_costs_no_picture(job: LocalJob) -> None:
    watcher = Watcher(5, lambda: kill_workers(1))
    summary = run_batch(job, watcher)
    assert (summary.done, summary.failed) == (PICTURES, 1)
    assert_as_if_done_here(job)


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_a_picture_that_kills_its_worker_fails_alone(job: LocalJob) -> None:
    summary = run_batch(job, Foe(kill_workers, "box 1/07.png"))
    assert (summary.done, summary.failed) == (PICTURES - 1, 2)
    (reason,) = (reason for name, reason in summary.failures if name == "box 1/07.png")
    assert reason.startswith("the workers that coloured it died 4 times")
    assert "box 1/07.png" not in outputs_below(job.output)
    assert run_batch(job).coloured == 1
    assert_as_if_done_here(job)


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_a_run_that_is_stopped_goes_on_later(job: LocalJob) -> None:
    stop = threading.Event()
    summary = run_batch(job, Watcher(8, stop.set), stop)
    assert summary.stopped
    assert summary.not_reached == PICTURES + 2 - summary.done - summary.failed - (summary.skipped - summary.not_reached)
    assert run_batch(job).kept == summary.done
    assert_as_if_done_here(job)


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_an_endless_inference_is_broken_off(job: LocalJob, tmp_path: Path) -> None:
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    stop = threading.Event()
    timer = threading.Timer(8, stop.set)
    timer.start()
    summary = run_batch(replace(job, model=str(model)), stop=stop)
    timer.cancel()
    assert summary.stopped
    assert summary.done == 0
    assert summary.seconds < 8 + 7
    assert not list(job.output.rglob("*.png"))
    assert not list(job.output.rglob("*.tmp"))


@pytest.mark.usefixtures("nodes")
def test_what_onnx_runtime_refuses_is_refused_before_anything_is_written(job: LocalJob, tmp_path: Path) -> None:
    broken = small_model()
    broken.graph.node[0].op_type = "NoSuchOperator"
    model = tmp_path / "broken.onnx"
    model.write_bytes(broken.SerializeToString())
    with pytest.raises(ModelRefusedError, match="cannot open the model"):
        run_batch(replace(job, model=str(model)))
    assert not job.output.exists()


@pytest.mark.usefixtures("nodes")
def test_a_worker_for_which_there_is_no_room_is_told(job: LocalJob) -> None:
    with pytest.raises(EnvironmentFailure, match="it needs 2 CPUs; the cluster has 2 CPUs and 0 GPUs in all"):
        run_batch(replace(job, ray=RayOptions(cpus_per_worker=2)))  # two nodes of one core each
    with pytest.raises(EnvironmentFailure, match="1 GPUs"):
        run_batch(replace(job, ray=RayOptions(gpus_per_worker=1)))
    assert not job.output.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_a_run_without_workers_gives_up(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_DEATHS_AT_START", 2)

    def kill_on() -> None:
        killing.wait(60)
        while not over.wait(0.05):
            kill_workers()

    killing, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=kill_on)
    thread.start()
    try:
        with pytest.raises(EnvironmentFailure, match="died when they started"):
            run_batch(job, Foe(killing.set))
    finally:
        over.set()
        killing.set()
        thread.join()
    assert run_batch(job).failed == 1
    assert_as_if_done_here(job)


def test_a_worker_that_does_not_see_the_folders_says_which_node(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_SECONDS_TO_SEE", 0.1)
    found = Worker(job, read_model_file(job.model), 1)
    with pytest.raises(EnvironmentFailure, match=r"the node .* does not see the output folder"):
        found.begin(__version__, "0" * 16)


@pytest.mark.slow
def test_the_command_starts_a_cluster_of_its_own_and_says_nothing(job: LocalJob) -> None:
    (job.source / "broken.jpg").unlink()
    command = [sys.executable, "-m", "colorbatch", "run", "--engine", "ray", "--model", job.model]
    with subprocess.Popen(
        [*command, "-q", job.source, job.output], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: len(list(job.output.rglob("*.png"))) > 3)
        kill_workers(1)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert_as_if_done_here(job)


@pytest.mark.slow
def test_a_cluster_reads_and_writes_in_a_store(s3: S3, job: LocalJob) -> None:
    paths = sorted(job.source.rglob("*.png"))[:6]
    for path in paths:
        s3.bucket.put(f"in/{path.relative_to(job.source).as_posix()}", path.read_bytes())
    command = [sys.executable, "-m", "colorbatch", "run", "--engine", "ray", "--jobs", "1", "--model", job.model, "-q"]
    environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": s3.proxy.url}
    found = subprocess.run(
        [*command, s3.url("in"), s3.url("out")], capture_output=True, text=True, check=False, env=environment
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    run_batch(replace(local(job), only={path.relative_to(job.source).as_posix() for path in paths}))
    written = s3.bucket.files("out/")
    assert len(written.pop(MANIFEST_NAME).splitlines()) == len(paths)
    assert written == outputs_below(local(job).output)


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_what_a_dead_worker_wrote_is_known_as_ours(job: LocalJob) -> None:
    """On another processor the bytes may differ: then they are known by what the worker noted."""
    written = job.output / "box 0" / "00.png"

    def die_after_writing() -> None:
        if written.exists():
            return
        write_and_note(job, "box 0/00.png", b"of another processor")
        kill_workers()

    summary = run_batch(job, Foe(die_after_writing, "box 0/00.png"))
    assert (summary.done, summary.failed) == (PICTURES, 1)
    assert_as_if_done_here(job)


def test_a_worker_of_another_version_is_refused(job: LocalJob) -> None:
    with pytest.raises(EnvironmentFailure, match=rf"has colorbatch {__version__}, and the driver 9\.9"):
        Worker(job, read_model_file(job.model), 1).open("9.9")


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_what_the_worker_of_a_failed_picture_wrote_is_not_left_behind(job: LocalJob) -> None:
    written = job.output / "box 1" / "07.png"

    def write_and_die() -> None:
        write_and_note(job, "box 1/07.png", b"whole, but its worker died before it could say so")
        kill_workers()

    one_by_one = replace(job, jobs=1)  # so that no other picture is in progress when the workers are killed
    assert run_batch(one_by_one, Foe(write_and_die, "box 1/07.png")).failed == 2
    assert not written.exists()
    assert audit_batch(job.output, job.source).is_sound


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_notes_that_are_taken_away_by_somebody_cost_no_picture(job: LocalJob) -> None:
    def take_away() -> None:
        for notes in (job.output / STATE_FOLDER).glob("announced-*-1.jsonl"):
            notes.unlink()

    summary = run_batch(job, Watcher(5, take_away))
    assert (summary.done, summary.not_reached) == (PICTURES, 0)
    assert_as_if_done_here(job)


@pytest.mark.slow
@pytest.mark.usefixtures("nodes")
def test_paths_may_be_relative(job: LocalJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have other working folders."""
    monkeypatch.chdir(job.source.parent)
    assert run_batch(replace(job, source=Path("in"), output=Path("out"), model="small.onnx")).done == PICTURES
    assert_as_if_done_here(job)


@pytest.mark.slow
def test_a_node_that_joins_is_used(job: LocalJob, nodes: Any, tmp_path: Path) -> None:  # noqa: ANN401 (Ray's)
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        summary = pool.submit(run_batch, replace(job, model=str(model)), None, stop)
        wait_until(lambda: len(workers()) == 2)
        third = nodes.add_node(num_cpus=1)
        wait_until(lambda: len(workers()) == 3)
        stop.set()
        assert summary.result().stopped
    nodes.remove_node(third)


@pytest.mark.slow
def test_a_node_that_cannot_work_is_left_alone(
    job: LocalJob,
    nodes: Any,  # noqa: ANN401 (Ray's)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another version of colorbatch is there, as far as it can tell."""
    (tmp_path / "sitecustomize.py").write_text("import colorbatch.version as v\nv.__version__ = '9.9'\n")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        third = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    model = tmp_path / "endless.onnx"
    model.write_bytes(endless_model().SerializeToString())
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        summary = pool.submit(run_batch, replace(job, model=str(model)), None, stop)
        wait_until(lambda: "has colorbatch 9.9, and the driver" in caplog.text)
        stop.set()
        assert summary.result().stopped
    assert run_batch(job).done == PICTURES
    nodes.remove_node(third)
    assert_as_if_done_here(job)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_or_killed_goes_on_to_the_same_files(
    job: LocalJob,
    nodes: Any,  # noqa: ANN401 (Ray's)
    number: signal.Signals,
) -> None:
    command = [sys.executable, "-m", "colorbatch", "run", "--engine", "ray", "--ray-address", nodes.address]
    with subprocess.Popen(
        [*command, "--model", job.model, job.source, job.output], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: len(list(job.output.rglob("*.png"))) >= 5 or process.poll() is not None)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else -number), error
    assert "Traceback" not in error
    if number == signal.SIGTERM:
        assert "Run the same command again to resume" in error
    wait_until(lambda: not workers())  # Ray ends those whose driver is gone
    assert run_batch(job).kept >= 1
    assert_as_if_done_here(job)
