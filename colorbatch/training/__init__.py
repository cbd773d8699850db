"""Training in PyTorch: the only part of colorbatch, with its export, that needs torch."""
