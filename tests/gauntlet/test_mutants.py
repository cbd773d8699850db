"""The mutants fit the code, so that the mutation check by hand says something."""

import ast

import pytest
from gauntlet.mutants import GAUNTLET, MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_each_fault_can_be_put_where_it_belongs(mutant: Mutant) -> None:
    content = (ROOT / mutant.file).read_text(encoding="utf-8")
    spoilt = mutant.spoilt(content)
    assert spoilt != content
    ast.parse(spoilt)
    assert (GAUNTLET / mutant.cases[0]).is_file()


def test_a_fault_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 times"):
        MUTANTS[0].spoilt("")
