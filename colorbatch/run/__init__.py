"""A run: what is planned, kept, coloured and written, and by whom."""
