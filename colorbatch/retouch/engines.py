"""The models of a retouch session, each opened when it is first needed."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from colorbatch.inference.colorizer import Colorizer
from colorbatch.inference.session import Session
from colorbatch.job import BatchJob, Sidecars
from colorbatch.run.colorize import Recipe
from colorbatch.run.engines.local import ThisProcess, open_session
from colorbatch.run.parts import with_model
from colorbatch.text import printable


@dataclass(frozen=True)
class Engine:
    """An opened model: it makes outputs, and colours previews."""

    executor: ThisProcess
    colorizer: Colorizer

    @property
    def recipe(self) -> Recipe:
        """The model and the settings of outputs."""
        return self.executor.recipe

    def with_sidecars(self, sidecars: Sidecars) -> "Engine":
        """Return the engine of a job that uses sidecars in a certain way, with the same opened model."""
        return _engine_of(replace(self.recipe.job, sidecars=sidecars), self.executor.session)


class Engines:
    """The engine of a job, open from the beginning, and those of other models. Safe to use from several threads."""

    def __init__(self, job: BatchJob) -> None:
        """Open the model of a job.

        Raises:
            ModelRefusedError: it does not keep the contract.
            EnvironmentFailure: ONNX Runtime is missing.
            UsageError: the options of the job do not fit it.

        """
        self._opening = threading.Lock()
        session = open_session(job)
        self.base = _engine_of(job, session)
        """That of the job."""
        self._others: dict[str, Engine] = {}

    def of(self, model: str | None, known: Sequence[str]) -> Engine:
        """Return the engine of a model; ``None``: that of the job.

        Raises:
            ValueError: it is not known.
            ModelRefusedError: it does not keep the contract.
            UsageError: the options of the job do not fit it.

        """
        if model in (None, self.base.recipe.job.model):
            return self.base
        if model not in known:
            raise ValueError(f"model: unknown; known are {', '.join(map(printable, known))}")
        with self._opening:
            name = str(model)
            if name not in self._others:
                recipe = with_model(self.base.recipe, name)
                self._others[name] = _engine_of(recipe.job, open_session(recipe.job, recipe.model))
            return self._others[name]

    @property
    def colorizers(self) -> Sequence[Colorizer]:
        """Those of all models opened so far."""
        return [self.base.colorizer, *(each.colorizer for each in list(self._others.values()))]


def _engine_of(job: BatchJob, session: Session) -> Engine:
    return Engine(ThisProcess(session, job, 1), Colorizer(session, job.options, timeout=job.timeout))
