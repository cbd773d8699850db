"""One run: planning, resuming, colouring and writing."""
