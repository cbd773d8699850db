"""Records of runs: rows, the manifest, and the state of unfinished jobs."""
