"""The metadata of an ONNX file: the contract, and nothing of the tools and the machine that made it."""

import onnx

from colorbatch.inference.contract import ModelContract


def stamp(model: onnx.ModelProto, contract: ModelContract) -> None:
    """Write the contract into the model."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, contract.to_metadata())


def forget_origins(model: onnx.ModelProto) -> None:
    """Remove metadata of tools from the model and every node, such as stack traces with paths of this machine."""
    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
