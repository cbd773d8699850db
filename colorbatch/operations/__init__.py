"""What is done with a finished output folder, a model or one picture, beside a run."""
