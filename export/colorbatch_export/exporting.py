"""Export a checkpoint, and verify a model against its checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from colorbatch.errors import CheckpointRefusedError, ModelRefusedError, UsageError
from colorbatch.inference.contract import ModelContract, Precision
from colorbatch.inference.model_file import read_model_file
from colorbatch.job import ProviderName
from colorbatch.store.atomic import write_bytes
from colorbatch.training.architectures import ARCHITECTURES
from colorbatch.training.checkpoint import load_network
from colorbatch_export.calibration import read_inputs
from colorbatch_export.comparison import ParityReport, check
from colorbatch_export.exported import ExportResult, refuse_output
from colorbatch_export.graph import build_graph
from colorbatch_export.metadata import stamp
from colorbatch_export.parity import measure_parity
from colorbatch_export.precision import compute_in_8_bits, compute_in_half, halve_weights

SEED_SIZE = 160
"""Working size for a plain state dict, which does not state the size it was trained at: that of the published U-Net."""


@dataclass(frozen=True)
class Verification:
    """The parity of an existing model with a checkpoint."""

    report: ParityReport
    same_checkpoint: bool
    """Whether the model's contract names exactly this checkpoint."""


def export_model(
    checkpoint: Path,
    output: Path,
    *,
    name: str | None = None,
    precision: Precision = "fp32",
    calibration: Path | None = None,
    working_size: int | None = None,
    model_license: str = "not stated",
    training_data: str = "not stated",
    vividness: float | None = None,
    on_report: Callable[[ParityReport], None] | None = None,
) -> ExportResult:
    """Write the model of a checkpoint, after verifying that ONNX Runtime computes the same as PyTorch.

    Args:
        checkpoint: a checkpoint of ours, or a plain state dict of the published U-Net.
        output: the ``.onnx`` file to write.
        name: name in the contract; by default the file's stem.
        precision: precision of the stored weights and of the arithmetic.
        calibration: a folder of pictures; required for int8, not accepted otherwise.
        working_size: working size in the contract; by default the size that the network was trained at.
        model_license: licence in the contract.
        training_data: training data in the contract.
        vividness: default vividness of a run in the contract, 0..1; by default 0.
        on_report: receives the comparisons, even if they fail.

    Raises:
        UsageError: the output is the checkpoint itself or no name of a model, the network has no vividness, or the
            calibration is missing, not accepted, or without a picture.
        CheckpointRefusedError: the checkpoint cannot be used.
        ParityError: the two disagree; nothing is written.
        OutputUnwritableError: the model cannot be written.

    """
    refuse_output(output, checkpoint)
    if (precision == "int8") != (calibration is not None):
        raise UsageError(
            "--precision int8 needs --calibration, and no other precision accepts it",
            advice="Give --calibration DIR with --precision int8: a folder with a hundred ordinary photographs.",
        )
    network, loaded = load_network(checkpoint)
    working_size = working_size or loaded.size or SEED_SIZE
    if vividness is not None and not network.has_vividness:
        raise UsageError(f"the architecture of {checkpoint}, {loaded.architecture}, has no vividness")
    model = build_graph(network)
    if precision == "fp16-weights":
        halve_weights(model)
    elif precision == "fp16":
        model = compute_in_half(model)
    elif calibration is not None:
        model = compute_in_8_bits(model, read_inputs(calibration, working_size, network.size_multiple))
    onnx.checker.check_model(model, full_check=True)
    report = measure_parity(network, model.SerializeToString(), precision)
    check(report, on_report, f"{checkpoint}, so no model was written")
    contract = ModelContract(
        name=name or output.stem,
        architecture=loaded.architecture,
        size_multiple=network.size_multiple,
        working_size=working_size,
        tiling="whole",
        precision=precision,
        checkpoint_sha256=loaded.sha256,
        parity=report.summary,
        license=model_license,
        training_data=training_data,
        vividness=(vividness or 0.0) if network.has_vividness else None,
        hints=network.has_hints,
        confidence=network.bins is not None,
        colors=None
        if network.bins is None
        else tuple((round(cb, 6), round(cr, 6)) for cb, cr in network.bins.tolist()),
    )
    stamp(model, contract)
    write_bytes(output, model.SerializeToString())
    return ExportResult(output, contract, report)


def verify_model(
    model: str,
    checkpoint: Path,
    provider: ProviderName = "auto",
    on_report: Callable[[ParityReport], None] | None = None,
) -> Verification:
    """Compare a model file, or a built-in model, with the checkpoint that it was made from, on a provider.

    Raises:
        ParityError: the two disagree; ``on_report`` has received the report.
        ModelRefusedError, CheckpointRefusedError: one of the two cannot be used.
        ProviderUnavailableError: the provider cannot be used.

    """
    model_file = read_model_file(model)
    if model_file.contract.architecture not in ARCHITECTURES:
        raise ModelRefusedError(
            f"{model} is of the network {model_file.contract.architecture}, which colorbatch does not train: "
            "it was made from no checkpoint that could be compared",
            advice="colorbatch inspect shows what was measured when the file was made.",
        )
    network, loaded = load_network(checkpoint)
    contract = model_file.contract
    if contract.architecture != loaded.architecture:
        raise CheckpointRefusedError(
            f"the architecture of {model} is {contract.architecture}, that of {checkpoint} is {loaded.architecture}",
            advice="Give the checkpoint that the model was exported from.",
        )
    report = measure_parity(network, model_file.data, contract.precision, provider)
    check(report, on_report, f"{model} and {checkpoint}")
    return Verification(report, same_checkpoint=contract.checkpoint_sha256 == loaded.sha256)
