"""What one batch run is asked to do, and its outcome."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, get_args

from colorbatch.errors import UsageError
from colorbatch.location import LocationField, as_path
from colorbatch.shard import Shard
from colorbatch.stages import Stage, StageCost
from colorbatch.text import did_you_mean

ProviderName = Literal["auto", "cpu", "cuda"]
AlreadyColor = Literal["skip", "copy", "recolor"]
"""``copy``: unchanged, byte for byte; ``recolor``: coloured from its luma, like any other."""
DoubtfulColor = Literal["color", "skip", "copy"]
"""``color``: coloured like a toned picture, with a warning; ``copy``: unchanged, byte for byte."""
DigitalSourceType = Literal["compositeWithTrainedAlgorithmicMedia", "algorithmicallyEnhanced"]
"""IPTC NewsCode by which the output says that its colours were made by a model."""
Sidecars = Literal["merge", "copy", "ignore"]
"""``merge``: what XMP files beside a source say more than it is taken into its output; ``copy``: they are copied."""
JpegLuma = Literal["exact", "reencoded"]
"""``exact``: the coded luma of a JPEG is copied unchanged where possible; ``reencoded``: encoded from pixels."""
Luma = Literal["exact", "rounded", "reencoded"]
"""What became of the luma of a source: copied as it is coded in the JPEG; as the RGB of a lossless format gives it,
which is within one level; encoded again in a JPEG."""
EngineName = Literal["auto", "threads", "processes", "ray"]
Status = Literal["done", "skipped", "failed"]

MAX_STRENGTH = 2.0
"""Maximum factor of chroma."""
WORKER_NAME = "colour"
"""Name prefix of the threads that colour pictures."""
DEFAULT_MODEL = "default"
"""Name of the built-in model that is used when none is given."""


_TYPES: Mapping[type, str] = {Integral: "a whole number", Real: "a number", str: "a text"}
"""Types in messages."""


def refuse_other_type(name: str, value: object, kind: type, *, is_optional: bool = False) -> None:
    """Check the type of an argument.

    Raises:
        TypeError: it has another one; the message begins with its name.

    """
    if (value is None and is_optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return
    expected = f"{_TYPES.get(kind, kind.__name__)}{' or None' if is_optional else ''}"
    raise TypeError(f"{name}: expected {expected}, found {value!r}")


def refuse_other_than_flag(name: str, value: object) -> None:
    """Check that an argument is true or false.

    Raises:
        TypeError: it is not; the message begins with its name.

    """
    if isinstance(value, str) or value not in (True, False):
        raise TypeError(f"{name}: expected True or False, found {value!r}")


@dataclass(frozen=True)
class ColorOptions:
    """How a model is to colour a picture; ``None`` means the value of the model's contract."""

    working_size: int | None = None
    """Short side in pixels that the network sees."""
    vividness: float | None = None
    """0..1, from muted to vivid colours; only for models with this input."""
    strength: float = 1.0
    """Factor by which chroma is multiplied, 0..2."""
    tta: bool = False
    """Average the chroma of the picture and of its mirror image (test-time augmentation)."""

    def __post_init__(self) -> None:
        """Check the types.

        Raises:
            TypeError: a value has another one; the message begins with the name of the field.

        """
        refuse_other_type("working_size", self.working_size, Integral, is_optional=True)
        refuse_other_type("vividness", self.vividness, Real, is_optional=True)
        refuse_other_type("strength", self.strength, Real)
        refuse_other_than_flag("tta", self.tta)


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
class SignOptions:
    """Who signs outputs, as Content Credentials (C2PA). This holds no key, only where it is."""

    certificate: Path
    """File in PEM: the certificate of the signer, followed by those of its issuers."""
    key: Path | Callable[[bytes], bytes] | None = field(default=None, repr=False)
    """File of the private key in PEM, or a function that returns the signature of some bytes, such as one that asks a
    key store (PKCS #11, KMS); ``None``: the environment variable ``COLORBATCH_SIGN_KEY`` holds the key in PEM."""
    tsa: str | None = None
    """URL of a time-stamp authority (RFC 3161); ``None``: signatures have no time stamp."""
    strict: bool = False
    """Whether a picture fails whose output cannot be signed; otherwise its row has a warning."""


@dataclass(frozen=True)
class BatchJob:
    """One run over a folder tree, or over one file."""

    source: LocationField = LocationField()  # noqa: RUF009 (a descriptor)
    """A path, as text or as an object; for a store, its URL, or a ``UPath`` of universal-pathlib."""
    output: LocationField = LocationField()  # noqa: RUF009 (a descriptor)
    """Likewise."""
    model: str | os.PathLike[str] = DEFAULT_MODEL
    """The name of a model, built-in or in a folder of ``COLORBATCH_MODELS``, or the path of a model file."""
    provider: ProviderName = "auto"
    options: ColorOptions = field(default_factory=ColorOptions)
    jobs: int | None = None
    """Number of pictures processed at the same time; ``None``: one per core, and on a GPU half as many again."""
    memory_limit: int | None = None
    """Bytes of memory for pictures being processed; ``None``: half of the machine's. One that needs more runs alone."""
    gpu_memory: int | None = None
    """Maximum number of bytes of GPU memory to use; ``None``: as much as needed."""
    already_color: AlreadyColor = "skip"
    """What to do with a picture that is already in colour."""
    doubtful_color: DoubtfulColor = "color"
    """What to do with a picture that might be in colour; without effect if ``already_color`` is ``recolor``."""
    max_megapixels: float = 500.0
    """Maximum size of a frame; larger ones fail before they are decoded."""
    timeout: float | None = 300.0
    """Maximum number of seconds that inference may take for one picture, or one page."""
    salvage: bool = False
    """Colour the readable part of truncated pictures, with a warning."""
    jpeg_luma: JpegLuma = "exact"
    """Whether JPEGs keep their luma as it is coded, where that can be, or it is encoded again from their pixels."""
    convert_profile: bool = False
    """Convert JPEGs whose ICC profile has another tone curve to plain sRGB, though that encodes their luma again."""
    digital_source_type: DigitalSourceType | None = "compositeWithTrainedAlgorithmicMedia"
    """How outputs state in their XMP that a model made their colours; ``None``: they do not."""
    sidecars: Sidecars = "merge"
    """What to do with XMP files beside the sources, such as ``photo.jpg.xmp``."""
    include: Sequence[str] = ()
    """Patterns of the files to colour; empty: all."""
    exclude: Sequence[str] = ()
    """Patterns of files to exclude, whatever ``include`` says."""
    retouch: Path | None = None
    """File of the retouch record; ``None``: that in the output folder, if there is one."""
    ignore_retouch: bool = False
    """Colour as if there was no retouch record."""
    strict_match: bool = False
    """Refuse a source without pictures, and patterns that match nothing, instead of warning of them."""
    files: AbstractSet[str] | None = None
    """Paths below the source of the files that are the whole of it: it is not searched for others; only a local folder.
    ``None``: all."""
    only: AbstractSet[str] | None = None
    """Paths below the source of the files to process; all others are excluded, and what earlier runs made of them is
    kept. ``None``: all."""
    shard: Shard | None = None
    """Share of the sources to process; ``None``: all."""
    preserve_times: bool = False
    """Give each output the time of the last change of its source; only in a local folder."""
    trust_times: bool = False
    """Take sources and outputs for unchanged if their sizes and times are, without reading them."""
    signing: SignOptions | None = None
    """Sign the outputs; ``None``: they are not signed."""
    fail_fast: bool = False
    """Stop after the first picture that fails, as if the user had stopped the run."""
    engine: EngineName = "auto"
    """``threads``: threads of this process; ``processes``: one child process per job; ``auto``: the latter for many
    pictures on the CPU; ``ray``: at most ``jobs`` workers of a cluster."""
    ray: RayOptions | None = None
    """Options of the engine ``ray``, refused for all others; ``None``: the defaults."""

    def __post_init__(self) -> None:
        """Check the types, the words, and what a text may be taken for.

        Raises:
            TypeError: a value has another type; the message begins with the name of the field.
            UsageError: a word is unknown, or a text is given where a list is expected.

        """
        for name, words in _WORDS.items():
            value = getattr(self, name)
            if value not in words:
                known = ", ".join(map(str, words))
                raise UsageError(
                    f"{name} is {value!r}; known are: {known}", advice=did_you_mean(str(value), map(str, words))
                )
        for name in ("include", "exclude", "only", "files"):
            if isinstance(getattr(self, name), str):
                raise UsageError(f"{name} is a text, and must be a list", advice="Put it in brackets.")
        self._refuse_other_types()
        if self.signing is not None and self.engine == "ray":
            raise UsageError(
                "outputs of --engine ray cannot be signed as they are made: the key stays on this machine",
                advice="Leave the options for signing out, and run colorbatch sign OUTPUT afterwards.",
            )
        if self.retouch is not None:
            object.__setattr__(self, "retouch", as_path(self.retouch, "retouch"))

    def _refuse_other_types(self) -> None:
        for name in ("jobs", "memory_limit", "gpu_memory"):
            refuse_other_type(name, getattr(self, name), Integral, is_optional=True)
        refuse_other_type("max_megapixels", self.max_megapixels, Real)
        refuse_other_type("timeout", self.timeout, Real, is_optional=True)
        refuse_other_type("options", self.options, ColorOptions)
        refuse_other_type("shard", self.shard, Shard, is_optional=True)
        refuse_other_type("ray", self.ray, RayOptions, is_optional=True)
        for name in _FLAGS:
            refuse_other_than_flag(name, getattr(self, name))
        for name in ("include", "exclude", "only", "files"):
            value = getattr(self, name)
            is_optional = name in ("only", "files")
            if not (isinstance(value, Collection) or (value is None and is_optional)):
                raise TypeError(f"{name}: expected a list of texts, found {value!r}")
        if not isinstance(self.model, str | os.PathLike):
            raise TypeError(f"model: expected a name or a path, found {self.model!r}")


_FLAGS = (
    *("salvage", "convert_profile", "ignore_retouch", "strict_match", "preserve_times", "trust_times", "fail_fast"),
)
_WORDS: Mapping[str, Sequence[object]] = {
    "already_color": get_args(AlreadyColor),
    "doubtful_color": get_args(DoubtfulColor),
    "digital_source_type": (*get_args(DigitalSourceType), None),
    "jpeg_luma": get_args(JpegLuma),
    "sidecars": get_args(Sidecars),
    "engine": get_args(EngineName),
}
"""Words that fields of a job may have."""


@dataclass
class BatchSummary:
    """The outcome of a run, counted."""

    done: int = 0
    """Outputs that exist now, including those ``kept``."""
    kept: int = 0
    """Outputs of an earlier run whose source, model and settings have not changed."""
    copied: int = 0
    """Outputs of this run that are copies of colour pictures; also counted in ``done``."""
    doubtful: int = 0
    """Pictures coloured in this run that might be colour photographs."""
    skipped: int = 0
    skip_reasons: dict[str, int] = field(default_factory=dict)
    """Number of sources skipped for each reason."""
    unsupported: dict[str, int] = field(default_factory=dict)
    """Number of pictures skipped because their kind is not supported, by lower-case extension."""
    failed: int = 0
    not_reached: int = 0
    """Sources left for the next run because this one was stopped; also counted in ``skipped``."""
    stopped: bool = False
    """Whether the run ended before its last picture."""
    megapixels: float = 0.0
    """Megapixels coloured in this run."""
    luma: dict[Luma, int] = field(default_factory=dict)
    """Number of the pictures coloured in this run, by what became of their luma."""
    seconds: float = 0.0
    provider: str = ""
    """The execution provider that was actually used."""
    provider_reason: str = ""
    """Why that one was used, where there was a choice."""
    model: str = ""
    stages: dict[Stage, StageCost] = field(default_factory=dict)
    """Where the time was spent."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Input and reason of each failed row."""

    @property
    def coloured(self) -> int:
        """Pictures coloured in this run."""
        return self.done - self.kept - self.copied
