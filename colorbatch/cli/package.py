"""``colorbatch package``: hand a finished folder over, as archives take it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from colorbatch.cli import options, terminal
from colorbatch.cli.config import config_option
from colorbatch.cli.help import GroupedCommand
from colorbatch.errors import ExitCode
from colorbatch.location import Location
from colorbatch.text import printable

if TYPE_CHECKING:
    from colorbatch.operations.package import Packaged

_GROUPS = {
    "What is written": ("--bagit", "--zip"),
    "What goes in": ("--with-sources", "--sources-url", "--with-report", "--retouch", "--no-retouch"),
    "Descriptions": ("--premis", "--retouched-by", "--iiif", "--iiif-tiles"),
    "Bags": ("--bag-info", "--bag-size", "--link", "--sha512"),
}


class _Label(click.ParamType):  # type: ignore[type-arg] # not generic in older releases
    """A label and a value of ``bag-info.txt``: ``Source-Organization=City Archive``."""

    name = "label"

    @override
    def get_metavar(self, *_: object, **__: object) -> str:
        return "LABEL=VALUE"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        label, sign, text = str(value).partition("=")
        if not sign:
            self.fail(f"{value!r} is not LABEL=VALUE, such as Source-Organization=City Archive", param, ctx)
        return label.strip(), text.strip()


@click.command("package", cls=GroupedCommand, groups=_GROUPS)
@click.argument("output", type=options.LOCATION)
@click.argument("destination", type=options.LOCATION)
@click.option("--bagit", "form", flag_value="bagit", help="A BagIt bag (RFC 8493) in the folder DESTINATION.")
@click.option("--zip", "form", flag_value="zip", help="The same bag as one file, DESTINATION, which ends with .zip.")
@click.option(
    "--with-sources",
    "sources",
    type=options.LOCATION,
    metavar="DIR",
    help="Folder of the scans, which are put beside the outputs.",
)
@click.option(
    "--sources-url",
    metavar="URL",
    help="Where the scans can be fetched: those that stay away are listed in fetch.txt.",
)
@options.retouch_options
@click.option("--with-report", is_flag=True, help="Include OUTPUT/colorbatch-report.")
@click.option(
    "--bag-info",
    type=_Label(),
    multiple=True,
    help="A line of bag-info.txt, such as Source-Organization=City Archive; may be repeated.",
)
@click.option(
    "--bag-size",
    type=options.ByteCount(),
    metavar="SIZE",
    help="Split into bags of at most that many bytes of files, such as 200GB, in the folder DESTINATION.",
)
@click.option("--link", is_flag=True, help="Hard links instead of copies, where the file system can.")
@click.option("--sha512", is_flag=True, help="Checksums of SHA-512, too.")
@click.option(
    "--premis",
    type=options.Choice(["job", "picture"]),
    help="Provenance in PREMIS 3: one file for all, or one for each picture.",
)
@click.option("--retouched-by", metavar="NAME", help="Who gave the hints, for --premis.")
@click.option(
    "--iiif",
    metavar="URL",
    help="IIIF Presentation 3 for viewers, of a package that will be published at that address.",
)
@click.option("--iiif-tiles", is_flag=True, help="Tiles of all pictures, too, for which any web server is enough.")
@config_option
@options.json_option
@options.quiet_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    output: Location,
    destination: Location,
    bag_info: tuple[tuple[str, str], ...],
    *,
    as_json: bool,
    quiet: bool,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Write OUTPUT, a finished folder of colorbatch run, to DESTINATION as an archive takes it.

    Every output is compared with the manifest while it is copied. If one is missing or was altered, that is said, and
    what was written is no bag. Nothing is overwritten; after a kill, the same command continues. The exit code is 0 if
    the package was finished, else 1.

    \b
    Example:
      colorbatch package out/ bag/ --bagit --with-sources old_photos/
    """
    from colorbatch.cli.display import reporter
    from colorbatch.operations.package import PackageJob, package_batch

    terminal.set_up_logging(verbose=False, quiet=quiet)
    settings["form"] = settings["form"] or "plain"
    job = PackageJob(output, destination, bag_info=bag_info, **settings)
    with reporter(quiet=quiet, unit="files") as progress:
        found = package_batch(job, progress)
    if as_json:
        terminal.answer(json.dumps(asdict(found) | {"finished": found.is_finished}))
    else:
        for finding in found.findings:
            terminal.answer(f"{printable(finding.path)}: {printable(finding.problem)}")
    if not quiet or not found.is_finished:
        for line in _lines(found):
            terminal.say(printable(line))
    ctx.exit(ExitCode.OK if found.is_finished else ExitCode.PICTURES_FAILED)


def _lines(found: "Packaged") -> list[str]:
    lines = [f"Warning: {warning}" for warning in found.warnings]
    if not found.is_finished:
        number = len(found.findings)
        return [*lines, f"Not packaged: {number} finding{'s' * (number != 1)}. There is no finished package."]
    numbers = {"outputs": found.outputs, "sources": found.sources, "to fetch": found.to_fetch}
    numbers |= {"linked": found.linked, "kept": found.kept}
    counts = [f"{name}: {number}" for name, number in numbers.items() if number or name == "outputs"]
    names = [*found.bags[:3], *([f"and {len(found.bags) - 3} more"] if len(found.bags) > 3 else [])]
    return [*lines, f"Packaged: {', '.join(names)} ({', '.join(counts)}, {found.bytes / 1e6:.1f} MB)"]
