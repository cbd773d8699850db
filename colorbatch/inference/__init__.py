"""Models: what a file promises, its session in ONNX Runtime, and a picture coloured by it."""
