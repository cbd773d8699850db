"""Who makes the outputs of a run: the threads of this process, or the workers of a cluster."""
