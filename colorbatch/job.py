"""What one batch run is asked to do, and what came of it."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from colorbatch.location import Location
from colorbatch.shard import Shard
from colorbatch.stages import Stage, StageCost

ProviderName = Literal["auto", "cpu", "cuda"]
AlreadyColor = Literal["skip", "copy", "recolor"]
"""``copy``: byte for byte; ``recolor``: from its luma, like any other."""
DigitalSourceType = Literal["compositeWithTrainedAlgorithmicMedia", "algorithmicallyEnhanced"]
"""Of IPTC's NewsCodes: how the output says that its colours were made by a model."""
JpegLuma = Literal["exact", "reencoded"]
"""``exact``: that of a grey JPEG is handed on as it is coded, where that can be; ``reencoded``: from its pixels."""
EngineName = Literal["auto", "threads", "processes", "ray"]
Status = Literal["done", "skipped", "failed"]

WORKER_NAME = "colour"
"""How the names of the threads begin that colour pictures."""
DEFAULT_MODEL = "default"
"""The built-in model that is used when none is named."""


@dataclass(frozen=True)
class ColorOptions:
    """How a model is to colour a picture; ``None`` stands for what the model's contract says."""

    working_size: int | None = None
    """Short side in pixels that the network sees."""
    vividness: float | None = None
    """0..1, from careful to vivid colours; for models that have it."""
    strength: float = 1.0
    """Factor of chroma, 0..2."""
    tta: bool = False
    """Average the chroma of the picture and of its mirror image (test-time augmentation)."""


@dataclass(frozen=True)
class RayOptions:
    """The cluster of a job with the engine ``ray``, and the size of its workers."""

    address: str | None = None
    """Address of the head node, or ``auto`` for the cluster that this machine belongs to; ``None``: a cluster is
    started on this machine."""
    cpus_per_worker: int = 1
    """Cores per worker: it computes as many pictures at the same time."""
    gpus_per_worker: float | None = None
    """GPUs per worker; ``None``: 1 if the provider is ``cuda``, else 0."""


@dataclass(frozen=True)
class BatchJob:
    """One run over a folder tree, or over one file."""

    source: Location
    """A :class:`pathlib.Path`, or a ``UPath`` of universal-pathlib for a store."""
    output: Location
    model: str = DEFAULT_MODEL
    """The name of a built-in model, or the path of a model file."""
    provider: ProviderName = "auto"
    options: ColorOptions = field(default_factory=ColorOptions)
    jobs: int | None = None
    """Pictures worked on at the same time; ``None``: one for each core."""
    memory_limit: int | None = None
    """Bytes of memory for pictures in work; ``None``: half of the machine's. One that needs more goes alone."""
    gpu_memory: int | None = None
    """Bytes of a GPU's memory to use at most; ``None``: what is needed."""
    already_color: AlreadyColor = "skip"
    """What becomes of a picture that is in colour."""
    max_megapixels: float = 500.0
    """A frame of more pixels fails before it is decoded."""
    timeout: float | None = 300.0
    """Seconds that the model may take for one picture, or one page."""
    salvage: bool = False
    """Colour what can be read of pictures that are cut short, with a warning."""
    jpeg_luma: JpegLuma = "exact"
    digital_source_type: DigitalSourceType | None = "compositeWithTrainedAlgorithmicMedia"
    """How outputs say in their XMP that a model made their colours; ``None``: they do not say it."""
    include: Sequence[str] = ()
    """Patterns of the only files to colour; none: all."""
    exclude: Sequence[str] = ()
    """Patterns of files to leave out, whatever ``include`` says."""
    only: AbstractSet[str] | None = None
    """Paths below the source of the only files to do, all others being left aside with what earlier runs made of them;
    ``None``: all."""
    shard: Shard | None = None
    """The share of the sources to do; ``None``: all."""
    fail_fast: bool = False
    """Stop after the first picture that fails, as if the user had stopped the run."""
    engine: EngineName = "auto"
    """``threads``: those of this process; ``processes``: a child process for each job; ``auto``: the latter for many
    pictures on the CPU; ``ray``: the workers of a cluster, of which there are ``jobs`` at most."""
    ray: RayOptions | None = None
    """Options of the engine ``ray``, refused for all others; ``None``: the defaults."""


@dataclass
class BatchSummary:
    """The outcome of a run, counted."""

    done: int = 0
    """Outputs that stand now; ``kept`` of them were there already."""
    kept: int = 0
    """Outputs of an earlier run whose source, model and settings have not changed."""
    copied: int = 0
    """Outputs of this run that are copies of pictures in colour; counted in ``done`` too."""
    skipped: int = 0
    failed: int = 0
    not_reached: int = 0
    """Sources left for the next run because this one was stopped; counted in ``skipped`` too."""
    stopped: bool = False
    """Whether the run ended before its last picture."""
    megapixels: float = 0.0
    """Coloured in this run."""
    seconds: float = 0.0
    provider: str = ""
    """The execution provider that was really in use."""
    provider_reason: str = ""
    """Why it was that one, where there was a choice."""
    model: str = ""
    stages: dict[Stage, StageCost] = field(default_factory=dict)
    """Where the time went."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Input and reason of each failed row."""

    @property
    def coloured(self) -> int:
        """Pictures coloured in this run."""
        return self.done - self.kept - self.copied
