"""What the tables of the documentation list is all there is, and is named as it is."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from helpers import ROOT
from pages import COMMANDS_PAGE, DOCS, blocks, codes, command, table

import colorbatch
from colorbatch.cli.main import COMMANDS
from colorbatch.errors import ExitCode
from colorbatch.inference.contract import PREFIX, AdaptedFrom, ModelContract, Parity
from colorbatch.job import BatchSummary
from colorbatch.operations.audit import Audit
from colorbatch.records import retouch, retouch_fields
from colorbatch.records.row import Row

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def listed(page: Path, head: str) -> list[str]:
    return [code for row in table(page, head) for code in codes(row[0])]


def differences(told: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what only one of the two has, or has more often."""
    return sorted(((Counter(told) - Counter(names)) + (Counter(names) - Counter(told))).elements())


def test_every_command_is_told_of() -> None:
    rows = [row[0] for row in table(COMMANDS_PAGE, "command")]
    told = [next(codes(cell)).split()[1] for cell in rows]
    assert differences(told, COMMANDS) == []


def test_every_extra_is_told_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert differences(listed(DOCS / "install.md", "extra"), list(project["optional-dependencies"])) == []


def test_every_option_of_run_is_told_of() -> None:
    told = {code.partition(" ")[0] for code in listed(DOCS / "run.md", "option")}
    options = [option for option in command("run").params if option.param_type_name == "option"]
    missing = [option.opts[0] for option in options if not told & {*option.opts, *option.secondary_opts}]
    assert missing == []


def test_every_field_of_the_manifest_is_told_of() -> None:
    names = [field.name for kind in (Row, Audit) for field in fields(kind)]
    assert differences(listed(DOCS / "archives.md", "field"), [*names, "sound"]) == []


def test_the_row_shown_has_every_field() -> None:
    shown = [
        block.text for block in blocks((DOCS / "archives.md").read_text(encoding="utf-8")) if block.language == "json"
    ]
    (row,) = map(json.loads, shown)
    assert set(row) == {field.name for field in fields(Row)}


def test_every_field_of_the_summary_is_told_of() -> None:
    assert differences(listed(DOCS / "scripting.md", "field"), [field.name for field in fields(BatchSummary)]) == []


def test_every_key_of_the_contract_is_told_of() -> None:
    contract = ModelContract(
        "",
        "",
        1,
        1,
        "whole",
        "fp32",
        "",
        Parity(0, 0, 0, 0),
        "",
        "",
        0.5,
        hints=True,
        confidence=True,
        colors=((0.0, 0.0),),
        resizes=True,
        adapted_from=AdaptedFrom("ddcolor", "", "stretch", ""),
    )
    assert differences(listed(DOCS / "model_contract.md", "key"), list(contract.to_metadata())) == []
    assert all(key.startswith(PREFIX) for key in contract.to_metadata())


def test_every_exit_code_is_told_of() -> None:
    told = [int(code) for row in table(DOCS / "scripting.md", "code") for code in row[0].split(",")]
    assert told == [int(code) for code in ExitCode]


def test_every_public_name_is_in_the_reference() -> None:
    lines = (DOCS / "python.md").read_text(encoding="utf-8").splitlines()
    told = [line.removeprefix("::: colorbatch.") for line in lines if line.startswith(":::")]
    assert differences(told, colorbatch.__all__) == []
    assert differences(listed(DOCS / "python.md", "name"), colorbatch.__all__) == []


def test_every_field_of_the_retouch_record_is_told_of() -> None:
    assert differences(listed(DOCS / "retouch.md", "field"), ["schema", *retouch_fields.FIELDS]) == []
    assert differences(listed(DOCS / "retouch.md", "field of a hint"), [*retouch_fields.HINT_FIELDS]) == []


def test_the_line_of_the_retouch_record_that_is_shown_is_valid() -> None:
    (line,) = [
        block.text for block in blocks((DOCS / "retouch.md").read_text(encoding="utf-8")) if block.language == "json"
    ]
    (found,) = retouch.parsed_retouches(line.encode(), "docs/retouch.md").values()
    assert found.of_page(1).hints[0].color == "#7a8b3c"
