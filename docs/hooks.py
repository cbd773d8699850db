"""What the site needs beyond Markdown that GitHub shows: without it, a reader would see marks of other languages."""

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|mod):(?=<code>)")
"""Of Sphinx, in docstrings."""
_CELL = re.compile(r"<td.*?</td>", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:  # noqa: ANN401 (mkdocs gives page, config and files)
    """Take roles away, and the backslash that GitHub wants before a bar in a table."""
    return _CELL.sub(lambda cell: cell[0].replace(r"\|", "|"), _ROLE.sub("", html))
