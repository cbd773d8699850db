"""Entry point of ``python -m colorbatch``."""

from colorbatch.cli.main import main

main()
