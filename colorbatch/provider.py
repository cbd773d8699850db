"""Open ONNX Runtime on the execution provider that was asked for, and on no other."""

from typing import TYPE_CHECKING

from colorbatch.errors import ModelRefusedError, ProviderUnavailableError
from colorbatch.extras import needs_extra
from colorbatch.job import ProviderName

if TYPE_CHECKING:
    import onnxruntime

_ORT_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_USER_WORDS = {ort: word for word, ort in _ORT_NAMES.items()}
_ONLY_FATAL = 4
"""ONNX Runtime's log severity: its warnings go to stderr, past every logger; what matters is raised."""


def open_inference_session(
    data: bytes, provider: ProviderName, threads: int | None = None
) -> "tuple[onnxruntime.InferenceSession, str]":
    """Open a model and return it with the user word of the provider that is really in use.

    Args:
        data: a whole model file.
        provider: ``auto`` is CUDA where it works, else the CPU; any other is used or refused.
        threads: of ONNX Runtime within one inference; ``None``: its own choice.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        ProviderUnavailableError: the provider is not in this build, or did not start.
        ModelRefusedError: ONNX Runtime does not accept the model.

    """
    with needs_extra("cpu"):
        import onnxruntime as ort

    available = ort.get_available_providers()
    wanted = [word for word in ("cuda", "cpu") if _ORT_NAMES[word] in available] if provider == "auto" else [provider]
    if _ORT_NAMES[wanted[0]] not in available:
        raise ProviderUnavailableError(
            f"the provider {provider} is not in this build of ONNX Runtime",
            advice="Install it with: pip uninstall onnxruntime && pip install 'colorbatch[cuda]'",
        )
    if "cuda" in wanted and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    options = ort.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = ort.InferenceSession(data, options, providers=[_ORT_NAMES[word] for word in wanted])
    except Exception as error:  # its exceptions share no base below Exception
        raise ModelRefusedError(f"ONNX Runtime does not open the model: {error}") from error
    actual = _USER_WORDS.get(session.get_providers()[0], session.get_providers()[0])
    if provider not in ("auto", actual):
        raise ProviderUnavailableError(
            f"the provider {provider} did not start; ONNX Runtime fell back to {actual}",
            advice="Check the GPU driver and the CUDA and cuDNN libraries, or use --provider cpu.",
        )
    return session, actual
