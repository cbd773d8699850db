"""The help of commands with many options: in groups, the everyday ones first."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from typing_extensions import override


class GroupedCommand(click.Command):
    """A command whose help shows its options in groups."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's)
        groups: Mapping[str, Sequence[str]],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Take the arguments of click, and the names of the options of each group; others come last."""
        super().__init__(*args, **kwargs)
        self.groups = groups

    @override
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                records[max(parameter.opts, key=len)] = record
        grouped = {name for names in self.groups.values() for name in names}
        others = [name for name in records if name not in grouped]
        for title, names in {**self.groups, "Other options": others}.items():
            shown = [records[name] for name in names if name in records]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown, col_max=26)
