"""The page itself: a template that escapes all values, a script and a style sheet."""

import hashlib
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from colorbatch.text import printable
from colorbatch.version import __version__

ASSETS = ("retouch.css", "retouch.js")


def asset(name: str) -> bytes:
    """Return the content of the script or the style sheet."""
    return (resources.files("colorbatch.retouch") / "static" / name).read_bytes()


def rendered_page(output: Path) -> bytes:
    """Return the page for an output folder."""
    environment = Environment(
        loader=PackageLoader("colorbatch.retouch"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["printable"] = printable
    page = environment.get_template("index.html").render(
        title=printable(output.resolve().name),
        version=__version__,
        assets={name: f"{name}?{hashlib.sha256(asset(name)).hexdigest()[:12]}" for name in ASSETS},
    )
    return page.encode("utf-8")
