"""Which workers are started, filled and replaced; a fake stands in for Ray."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from helpers import small_model

from colorbatch.errors import ColorbatchError, EnvironmentFailure, ModelRefusedError
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import BatchJob
from colorbatch.run.colorize import row_of
from colorbatch.run.engines import pool as pool_module
from colorbatch.run.engines.local import READING_OR_WRITING
from colorbatch.run.engines.pool import MAX_DEATHS_AT_START, QUEUED, Pool, TaskDone, WorkerLost
from colorbatch.run.engines.worker import Finished, Stopped, Task
from colorbatch.run.plan import PlannedPicture
from colorbatch.run.work import Skipped

CAPACITY = 1 + READING_OR_WRITING + QUEUED
"""Tasks of a worker with one core."""


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Promise:
    """The result of a call: none, a value, or an exception to raise."""

    def __init__(self, method: str, arguments: tuple[Any, ...]) -> None:
        self.method = method
        self.arguments = arguments
        self.has_arrived = False
        self.value: object = None

    def arrive(self, value: object = None) -> None:
        self.has_arrived, self.value = True, value


class Actor:
    """Keeps the calls that it receives."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: list[Promise] = []
        self.is_killed = False

    def __getattr__(self, method: str) -> SimpleNamespace:
        def call(*arguments: object) -> Promise:
            self.calls.append(Promise(method, arguments))
            return self.calls[-1]

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=call))

    def start(self) -> None:
        self.calls[-1].arrive("cpu")

    def die(self) -> None:
        for promise in self.calls:
            if not promise.has_arrived:
                promise.arrive(RayError("the actor died\nwith a long traceback"))

    @property
    def tasks(self) -> list[Promise]:
        """Unfinished pictures."""
        return [each for each in self.calls if each.method == "make" and not each.has_arrived]


class FakeRay(ModuleType):
    """A cluster of nodes with some cores each."""

    def __init__(self, *cores: int) -> None:
        super().__init__("ray")
        self.cores = list(cores)
        self.memory = 16e9
        self.actors: list[Actor] = []
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def put(self, value: object) -> object:
        return value

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": count, "memory": self.memory}} for count in self.cores]

    def cluster_resources(self) -> dict[str, int]:
        return {"CPU": sum(self.cores)}

    def remote(self, **_: object) -> Any:  # noqa: ANN401 (as Ray's)
        def start(_: BatchJob, __: object, number: int) -> Actor:
            self.actors.append(Actor(number))
            return self.actors[-1]

        return lambda _: SimpleNamespace(remote=start)

    def wait(self, promises: Sequence[Promise], *, num_returns: int, timeout: float) -> tuple[list[Promise], None]:
        assert timeout <= 10
        return [each for each in promises if each.has_arrived][:num_returns], None

    def get(self, promise: Promise) -> object:
        assert promise.has_arrived
        if isinstance(promise.value, Exception):
            raise promise.value
        return promise.value

    def kill(self, actor: Actor) -> None:
        actor.is_killed = True


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    model = tmp_path / "small.onnx"
    model.write_bytes(small_model().SerializeToString())
    return BatchJob(tmp_path / "in", tmp_path / "out", str(model), "cpu", engine="ray")


@pytest.fixture(autouse=True)
def no_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(pool_module, "_SECONDS_BETWEEN_COUNTS", -1.0)


def open_pool(ray: FakeRay, job: BatchJob) -> Pool:
    return Pool(ray, job, read_model_file(job.model), is_remote=False)


def open_started(ray: FakeRay, job: BatchJob) -> Pool:
    """Return a pool whose workers are ready."""
    pool = open_pool(ray, job)
    for actor in ray.actors:
        actor.start()
    assert list(pool.results()) == []
    return pool


def task(name: str) -> Task:
    return Task(PlannedPicture(name, name, name), None, {})


def finished(name: str) -> Finished:
    return Finished(Skipped(row_of(PlannedPicture(name, name), "skipped")))


def submit(pool: Pool, names: str) -> str:
    """Submit as many tasks as there is room for, and return the names of the others."""
    for number, name in enumerate(names):
        worker = pool.worker_with_room()
        if worker is None:
            return names[number:]
        pool.submit(worker, task(name))
    return ""


@pytest.mark.parametrize(("cores", "jobs", "expected"), [((4, 1, 3), None, 8), ((4, 1, 3), 2, 2), ((1,), 5, 1)])
def test_there_is_a_worker_for_each_place_but_no_more_than_jobs(
    job: BatchJob, cores: tuple[int, ...], jobs: int | None, expected: int
) -> None:
    ray = FakeRay(*cores)
    open_pool(ray, replace(job, jobs=jobs))
    assert [actor.number for actor in ray.actors] == list(range(1, expected + 1))


@pytest.mark.parametrize(("limit", "memory", "expected"), [(None, 16e9, 8), (4 * 10**9, 16e9, 2), (None, 2e9, 2)])
def test_no_more_workers_open_a_large_model_than_half_of_the_memory_of_each_node_allows(
    job: BatchJob, limit: int | None, memory: float, expected: int
) -> None:
    """It needs 1.7 GB in each; one may open it where it fits into the whole memory."""
    ray = FakeRay(8, 8)
    ray.memory = memory
    model = replace(read_model_file(job.model), size=10**9)
    Pool(ray, replace(job, memory_limit=limit), model, is_remote=False)
    assert len(ray.actors) == expected
    ray.memory = 1e9
    with pytest.raises(EnvironmentFailure, match=r"needs 1 CPUs and 1\.7 GB of memory for the model"):
        Pool(ray, job, model, is_remote=False)


def test_a_cluster_without_room_is_refused(job: BatchJob) -> None:
    with pytest.raises(EnvironmentFailure, match="needs 1 CPUs; the cluster has 0 CPUs and 0 GPUs"):
        open_pool(FakeRay(0, 0), job)


def test_a_node_that_joins_gets_a_worker(job: BatchJob) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    ray.cores.append(1)
    pool.fill()
    assert len(ray.actors) == 2


def test_a_worker_gets_tasks_once_it_is_ready_and_up_to_its_capacity(job: BatchJob) -> None:
    ray = FakeRay(1, 1)
    pool = open_pool(ray, job)
    assert pool.worker_with_room() is None
    first, second = ray.actors
    first.start()
    list(pool.results())
    assert submit(pool, "abcdefgh") == "fgh"
    assert (len(first.tasks), len(second.tasks)) == (CAPACITY, 0)
    second.start()
    list(pool.results())
    assert submit(pool, "fgh") == ""
    assert len(second.tasks) == 3
    first.tasks[0].arrive(finished("a"))
    assert [event.task for event in pool.results() if isinstance(event, TaskDone)] == [task("a")]


def test_tasks_are_spread_over_the_workers(job: BatchJob) -> None:
    ray = FakeRay(1, 1, 1)
    submit(open_started(ray, job), "abcdefg")
    assert sorted(len(actor.tasks) for actor in ray.actors) == [2, 2, 3]


def test_a_task_that_is_to_be_alone_waits_for_an_idle_worker(job: BatchJob) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    submit(pool, "a")
    assert pool.idle_worker() is None
    assert pool.worker_with_room() is None, "reserved until it is idle"
    ray.actors[0].tasks[0].arrive(finished("a"))
    list(pool.results())
    worker = pool.idle_worker()
    assert worker is not None
    pool.submit(worker, task("b"))
    assert pool.worker_with_room() is None, "it is alone"
    ray.actors[0].tasks[0].arrive(finished("b"))
    list(pool.results())
    assert submit(pool, "cd") == "", "it takes several again"


def test_of_several_workers_only_one_is_reserved(job: BatchJob) -> None:
    ray = FakeRay(1, 1)
    pool = open_started(ray, job)
    submit(pool, "abc")
    busier, reserved = sorted(ray.actors, key=lambda actor: -len(actor.tasks))
    assert pool.idle_worker() is None
    submit(pool, "defghij")
    assert (len(busier.tasks), len(reserved.tasks)) == (CAPACITY, 1)


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_worker_that_dies_is_lost_once_with_all_its_tasks_and_replaced(
    job: BatchJob, caplog: pytest.LogCaptureFixture, *, is_alone: bool
) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    if is_alone:
        worker = pool.idle_worker()
        assert worker is not None
        pool.submit(worker, task("a"))
    else:
        submit(pool, "abc")
    ray.actors[0].die()
    tasks = (task("a"),) if is_alone else (task("a"), task("b"), task("c"))
    assert list(pool.results()) == [WorkerLost(1, tasks, is_alone)]
    assert caplog.messages == ["worker 1 is gone: the actor died"]
    assert list(pool.results()) == []
    pool.fill()
    assert [actor.number for actor in ray.actors] == [1, 2]


def test_a_result_that_arrived_before_the_death_counts(job: BatchJob) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    submit(pool, "ab")
    ray.actors[0].tasks[0].arrive(finished("a"))
    ray.actors[0].die()
    done, lost = pool.results()
    assert isinstance(done, TaskDone)
    assert lost == WorkerLost(1, (task("b"),), was_alone=False)


@pytest.mark.parametrize("is_stopping", [False, True])
def test_a_worker_that_stops_by_itself_is_lost(job: BatchJob, *, is_stopping: bool) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    submit(pool, "a")
    ray.actors[0].tasks[0].arrive(Stopped())
    (event,) = pool.results(is_stopping=is_stopping)
    assert event == (TaskDone(task("a"), Stopped()) if is_stopping else WorkerLost(1, (task("a"),), was_alone=False))
    assert ray.actors[0].is_killed is not is_stopping


def test_a_worker_that_refuses_keeps_its_place_while_others_work(
    job: BatchJob, caplog: pytest.LogCaptureFixture
) -> None:
    ray = FakeRay(1, 1)
    pool = open_pool(ray, job)
    ray.actors[0].calls[-1].arrive(RayTaskError(EnvironmentFailure("another version")))
    ray.actors[1].start()
    assert pool.first_provider() == "cpu"
    assert caplog.messages == ["Continuing without worker 1: another version"]
    pool.fill()
    assert len(ray.actors) == 2
    pool.end()
    assert all(actor.is_killed for actor in ray.actors)


def test_when_all_workers_refuse_the_reason_is_raised(job: BatchJob) -> None:
    ray = FakeRay(1, 1)
    pool = open_pool(ray, job)
    for actor in ray.actors:
        actor.calls[-1].arrive(RayTaskError(ModelRefusedError("no model")))
    with pytest.raises(ModelRefusedError, match="no model"):
        pool.first_provider()


def test_workers_that_are_still_starting_do_not_matter_when_the_run_stops(
    job: BatchJob, caplog: pytest.LogCaptureFixture
) -> None:
    ray = FakeRay(1)
    pool = open_pool(ray, job)
    ray.actors[0].calls[-1].arrive(RayTaskError(ModelRefusedError("no model")))
    assert list(pool.results(is_stopping=True)) == []
    assert not caplog.messages


def test_a_bug_in_a_worker_is_raised_as_it_is(job: BatchJob) -> None:
    ray = FakeRay(1)
    pool = open_pool(ray, job)
    ray.actors[0].calls[-1].arrive(RayTaskError(KeyError("a bug")))
    with pytest.raises(RayTaskError) as caught:
        pool.first_provider()
    assert not isinstance(caught.value, ColorbatchError)


@pytest.mark.parametrize(("deaths", "gives_up"), [(MAX_DEATHS_AT_START - 1, False), (MAX_DEATHS_AT_START, True)])
def test_workers_that_die_when_they_start_end_the_run(job: BatchJob, deaths: int, *, gives_up: bool) -> None:
    ray = FakeRay(1)
    pool = open_pool(ray, job)

    def start_in_vain() -> None:
        for _ in range(deaths):
            ray.actors[-1].die()
            list(pool.results())
            pool.fill()

    if gives_up:
        with pytest.raises(EnvironmentFailure, match="5 workers in a row died when they started"):
            start_in_vain()
    else:
        start_in_vain()
        ray.actors[-1].start()
        assert pool.first_provider() == "cpu"
        assert len(ray.actors) == deaths + 1


def test_a_run_without_workers_gives_up_after_a_while(job: BatchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    pool.fill()
    ray.actors[0].die()
    submit(pool, "a")
    ray.actors[0].die()
    list(pool.results())
    ray.cores.clear()
    pool.fill()
    monkeypatch.setattr(pool_module, "SECONDS_WITHOUT_WORKERS", -1.0)
    with pytest.raises(EnvironmentFailure, match="no worker has been running"):
        pool.fill()


def test_workers_look_for_the_folders_before_they_get_pictures(job: BatchJob) -> None:
    ray = FakeRay(1)
    pool = open_started(ray, job)
    pool.begin("0123456789abcdef")
    call = ray.actors[0].calls[-1]
    assert (call.method, call.arguments[1:]) == ("begin", ("0123456789abcdef",))
    assert pool.worker_with_room() is None
    call.arrive()
    list(pool.results())
    assert pool.worker_with_room() is not None
    ray.cores.append(1)
    pool.fill()
    assert ray.actors[1].calls[-1].method == "begin"


def test_the_end_tells_ready_workers_to_write_nothing_more_and_kills_all(job: BatchJob) -> None:
    ray = FakeRay(1, 1)
    pool = open_pool(ray, job)
    ready, starting = ray.actors
    ready.start()
    list(pool.results())
    submit(pool, "a")
    assert pool.abandon_tasks() == [1]
    assert pool.abandon_tasks() == []
    pool.end()
    assert [(each.method, *each.arguments) for each in ready.calls[2:]] == [("stop", "writing")]
    assert [each.method for each in starting.calls] == ["open"]
    assert ready.is_killed
    assert starting.is_killed
