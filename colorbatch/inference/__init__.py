"""Models: their contracts, their sessions in ONNX Runtime, and the colouring of pictures."""
