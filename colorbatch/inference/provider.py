"""Open ONNX Runtime on the requested execution provider, and on no other."""

import io
import logging
import os
from contextlib import redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING

from colorbatch.errors import ModelRefusedError, ProviderUnavailableError, UsageError
from colorbatch.extras import needs_extra
from colorbatch.text import did_you_mean

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

_ORT_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",  # doubling would take several times the memory
    "use_tf32": "0",  # float32, as on the CPU
}
"""Options of the CUDA provider, chosen by measurement on an H100. For each new shape EXHAUSTIVE takes seconds, and
``prefer_nhwc`` 5 seconds instead of 1; DEFAULT takes half a second at *every* inference."""
_GPU_ADVICE = "Check the GPU driver and the CUDA and cuDNN libraries, or use --provider cpu."
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""Environment variable that disables the telemetry of ONNX Runtime: recent packages, once imported, store a device id
and a database in the home folder and send data about the process. Their own switch takes effect too late."""
_FATAL_ONLY = 4
"""Log severity of ONNX Runtime: its warnings go to stderr, bypassing loggers; errors that matter are raised."""


def import_onnxruntime() -> ModuleType:
    """Return the package ``onnxruntime``, imported without telemetry; do not import it elsewhere before.

    Raises:
        MissingExtraError: it is not installed.

    """
    os.environ.setdefault(_NO_TELEMETRY, "1")
    with needs_extra("cpu"):
        import onnxruntime as module
    onnxruntime: ModuleType = module
    return onnxruntime


def is_in_this_build(provider: str) -> bool:
    """Return whether the installed ONNX Runtime has a provider, which need not mean that it works.

    Raises:
        MissingExtraError: it is not installed.

    """
    return _ORT_NAMES[provider] in import_onnxruntime().get_available_providers()


def open_inference_session(
    data: bytes, provider: str, threads: int | None = None, gpu_memory: int | None = None
) -> "tuple[onnxruntime.InferenceSession, str]":
    """Open a model and return it with the user word of the provider that is actually in use.

    Args:
        data: content of a model file.
        provider: ``auto`` is CUDA if it works, otherwise the CPU; any other has no fallback.
        threads: of ONNX Runtime within one inference; ``None``: its own choice.
        gpu_memory: bytes of GPU memory that the session may use; ``None``: as much as needed.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        UsageError: there is no provider of that name.
        ProviderUnavailableError: the provider is not in this build, or did not start.
        ModelRefusedError: ONNX Runtime does not accept the model.

    """
    ort = import_onnxruntime()
    available = ort.get_available_providers()
    words = [word for word in ("cuda", "cpu") if _ORT_NAMES[word] in available] if provider == "auto" else [provider]
    if words[0] not in _ORT_NAMES:
        known = ("auto", *_ORT_NAMES)
        raise UsageError(
            f"no provider {provider!r}; there are: {', '.join(known)}", advice=did_you_mean(provider, known)
        )
    if _ORT_NAMES[words[0]] not in available:
        raise ProviderUnavailableError(
            f"the provider {provider} is not in this build of ONNX Runtime",
            advice="Install it with: pip uninstall onnxruntime && pip install 'colorbatch[cuda]'",
        )
    *preferred, last = words
    for word in preferred:
        try:
            return _open(ort, data, word, threads, gpu_memory), word
        except ProviderUnavailableError as error:
            logger.info("%s; trying the next provider", error)
    return _open(ort, data, last, threads, gpu_memory), last


def _open(
    ort: ModuleType, data: bytes, word: str, threads: int | None, gpu_memory: int | None
) -> "onnxruntime.InferenceSession":
    """Open a model on exactly one provider; the fallback of ONNX Runtime is disabled, also for later failures."""
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        with redirect_stdout(io.StringIO()):  # it prints problems there
            if word == "cuda" and hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
            session = ort.InferenceSession(
                data, options, providers=[_provider_argument(word, gpu_memory)], enable_fallback=0
            )
    except Exception as error:  # its exceptions share no base below Exception
        if word == "cpu":
            raise ModelRefusedError(f"ONNX Runtime cannot open the model: {error}") from error
        raise ProviderUnavailableError(f"the provider {word} did not start: {error}", advice=_GPU_ADVICE) from error
    session._model_bytes = None  # noqa: SLF001 (it would hold the file for its fallback, which is disabled)
    actual = session.get_providers()[0]
    if actual != _ORT_NAMES[word]:
        raise ProviderUnavailableError(
            f"the provider {word} did not start; ONNX Runtime fell back to {actual}", advice=_GPU_ADVICE
        )
    return session


def _provider_argument(word: str, gpu_memory: int | None) -> str | tuple[str, dict[str, str]]:
    """Return a provider and its options in the form that ONNX Runtime expects."""
    if word == "cpu":
        return _ORT_NAMES[word]
    limit = {} if gpu_memory is None else {"gpu_mem_limit": str(gpu_memory)}
    return _ORT_NAMES[word], {**_CUDA_OPTIONS, **limit}
