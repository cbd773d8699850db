"""What the site needs beyond Markdown: the docstrings' roles of Sphinx, such as :func:`name`, read as plain code."""

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|mod):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:  # noqa: ANN401 (mkdocs gives page, config and files)
    """Take the roles away."""
    return _ROLE.sub("", html)
