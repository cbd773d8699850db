import pickle
from collections.abc import Iterator

import pytest

from colorbatch import errors
from colorbatch.errors import ColorbatchError, ExitCode


def tree(kind: type[ColorbatchError] = ColorbatchError) -> Iterator[type[ColorbatchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_exit_codes_are_those_promised() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "PICTURES_FAILED": 1,
        "USAGE": 2,
        "MODEL_REFUSED": 3,
        "ENVIRONMENT": 4,
        "OUTPUT_IN_USE": 5,
        "PARITY": 6,
        "BUG": 70,
        "SIGINT": 130,
        "SIGTERM": 143,
    }


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_is_drawn_in_the_docstring_and_has_a_code(kind: type[ColorbatchError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__module__ == "colorbatch.errors"
    assert (kind.exit_code == ExitCode.BUG) == (kind is ColorbatchError)


def test_advice_can_be_given_for_the_occasion() -> None:
    assert errors.UnreadablePictureError("x").advice
    assert errors.UnreadablePictureError("x", advice="y").advice == "y"
    assert "pip install 'colorbatch[cpu]'" in errors.MissingExtraError("onnxruntime", "cpu").advice


@pytest.mark.parametrize("kind", list(tree()))
def test_an_error_comes_whole_out_of_another_process(kind: type[ColorbatchError]) -> None:
    error = errors.MissingExtraError("ray", "ray") if kind is errors.MissingExtraError else kind("what is wrong")
    error.advice = "what to do"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    assert (type(again), str(again), again.advice) == (kind, str(error), "what to do")
