"""Where sources and outputs lie: folders of this machine, and stores that fsspec reaches."""
