"""Open ONNX Runtime on the execution provider that was asked for, and on no other."""

import io
import logging
import os
from contextlib import redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING

from colorbatch.errors import ModelRefusedError, ProviderUnavailableError, UsageError
from colorbatch.extras import needs_extra

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

_ORT_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",  # doubling would take several times the memory
    "use_tf32": "0",  # float32, as on the CPU
}
"""Of the CUDA provider, chosen by measurement on an H100. For each new shape EXHAUSTIVE takes seconds, and
``prefer_nhwc`` 5 seconds instead of 1; DEFAULT takes half a second at *every* inference."""
_GPU_ADVICE = "Check the GPU driver and the CUDA and cuDNN libraries, or use --provider cpu."
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""The variable that keeps ONNX Runtime from its telemetry: recent packages, once imported, keep a device id and a
data base in the home folder and send what they noted of the process. Its own switch is there too late for that."""
_ONLY_FATAL = 4
"""ONNX Runtime's log severity: its warnings go to stderr, past every logger; what matters is raised."""


def import_onnxruntime() -> ModuleType:
    """Return the package ``onnxruntime``, which then tells nobody of it; import it nowhere else before this.

    Raises:
        MissingExtraError: it is not installed.

    """
    os.environ.setdefault(_NO_TELEMETRY, "1")
    with needs_extra("cpu"):
        import onnxruntime as module
    onnxruntime: ModuleType = module
    return onnxruntime


def is_in_this_build(provider: str) -> bool:
    """Return whether ONNX Runtime, as it is installed, has a provider; whether that works is another matter.

    Raises:
        MissingExtraError: it is not installed.

    """
    return _ORT_NAMES[provider] in import_onnxruntime().get_available_providers()


def open_inference_session(
    data: bytes, provider: str, threads: int | None = None, gpu_memory: int | None = None
) -> "tuple[onnxruntime.InferenceSession, str]":
    """Open a model and return it with the user word of the provider that is really in use.

    Args:
        data: a whole model file.
        provider: ``auto`` is CUDA where it works, else the CPU; any other is used or refused.
        threads: of ONNX Runtime within one inference; ``None``: its own choice.
        gpu_memory: bytes of a GPU's memory that the session may use; ``None``: what it needs.

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
        raise UsageError(f"no provider {provider!r}; there are: auto, {', '.join(_ORT_NAMES)}")
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
    """Open a model on exactly one provider; ONNX Runtime's own fallback is switched off, also for later."""
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        with redirect_stdout(io.StringIO()):  # it prints its troubles there
            if word == "cuda" and hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
            session = ort.InferenceSession(data, options, providers=[_settings(word, gpu_memory)], enable_fallback=0)
    except Exception as error:  # its exceptions share no base below Exception
        if word == "cpu":
            raise ModelRefusedError(f"ONNX Runtime cannot open the model: {error}") from error
        raise ProviderUnavailableError(f"the provider {word} did not start: {error}", advice=_GPU_ADVICE) from error
    actual = session.get_providers()[0]
    if actual != _ORT_NAMES[word]:
        raise ProviderUnavailableError(
            f"the provider {word} did not start; ONNX Runtime fell back to {actual}", advice=_GPU_ADVICE
        )
    return session


def _settings(word: str, gpu_memory: int | None) -> str | tuple[str, dict[str, str]]:
    """Return a provider and its options as ONNX Runtime takes them."""
    if word == "cpu":
        return _ORT_NAMES[word]
    limit = {} if gpu_memory is None else {"gpu_mem_limit": str(gpu_memory)}
    return _ORT_NAMES[word], {**_CUDA_OPTIONS, **limit}
