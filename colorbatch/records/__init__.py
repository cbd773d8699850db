"""The record of a run: rows, the manifest, and the state of a job that is not finished."""
