"""Training in PyTorch: the only part of colorbatch, besides its export, that needs torch."""
