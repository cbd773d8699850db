"""Arithmetic on pictures: NumPy arrays in, NumPy arrays out."""
