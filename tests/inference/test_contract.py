import json

import pytest
from helpers import small_contract

from colorbatch.errors import ModelRefusedError
from colorbatch.inference import contract
from colorbatch.inference.contract import ModelContract, Parity


def test_a_contract_comes_back_from_its_metadata() -> None:
    written = small_contract(parity=contract.Parity(1.5e-7, 2e-8, 1, 1e-4))
    metadata = written.to_metadata()
    assert set(metadata) == {  # the list of DESIGN, "The model contract"
        f"colorbatch.{key}"
        for key in (
            "contract",
            "name",
            "architecture",
            "size_multiple",
            "working_size",
            "tiling",
            "precision",
            "checkpoint_sha256",
            "parity",
            "license",
            "training_data",
        )
    }
    assert metadata["colorbatch.contract"] == "1"
    assert json.loads(metadata["colorbatch.parity"])["max_abs"] == 1.5e-7
    assert ModelContract.from_metadata(metadata | {"another.key": "x"}) == written


def test_what_a_model_was_adapted_from_comes_back_from_its_metadata() -> None:
    origin = contract.AdaptedFrom("ddcolor", "ab" * 32, "pad", "grey in, a and b out")
    written = small_contract(adapted_from=origin, resizes=True)
    assert ModelContract.from_metadata(written.to_metadata()) == written
    assert written.credit == f"small (adapted from ddcolor, sha256:{'ab' * 32})"
    assert small_contract().credit == "small"


def test_the_default_vividness_is_there_only_for_models_that_have_the_input() -> None:
    metadata = small_contract(vividness=0.4).to_metadata()
    assert metadata["colorbatch.vividness"] == "0.4"
    assert ModelContract.from_metadata(metadata).vividness == 0.4
    assert "colorbatch.vividness" not in small_contract().to_metadata()


@pytest.mark.parametrize("value", ["1.01", "-0.1", "nan", "vivid", ""])
def test_a_vividness_that_makes_no_sense_is_refused(value: str) -> None:
    metadata = small_contract(vividness=0.4).to_metadata() | {"colorbatch.vividness": value}
    with pytest.raises(ModelRefusedError, match="not a number from 0 to 1"):
        ModelContract.from_metadata(metadata)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("contract", "2", "contract version '2'"),
        ("size_multiple", "0", "not a whole number"),
        ("working_size", "-5", "not a whole number"),
        ("working_size", "9" * 5000, "not a whole number"),
        ("working_size", "\u0664", "not a whole number"),  # a digit, but not ASCII
        ("tiling", "sometimes", "known are: whole, tiles"),
        ("precision", "int3", "known are"),
        ("parity", "{", "not the JSON expected"),
        (
            "parity",
            json.dumps({"max_abs": 0, "mean_abs": 0, "max_rgb_levels": float("inf"), "tolerance": 0}),
            "not the",
        ),
        ("parity", "[1]", "not the JSON expected"),
        ("resizes", "no", "can only be 'yes' or absent"),
        ("adapted_from", "{", "adapted_from is not the JSON expected"),
        ("adapted_from", "[" * 100_000, "adapted_from is not the JSON expected"),
        ("adapted_from", '{"kind": "ddcolor"}', "adapted_from is not the JSON expected"),
        (
            "adapted_from",
            '{"kind": "a", "sha256": "b", "values": "c", "fit": 3}',
            "adapted_from is not the JSON expected",
        ),
        ("adapted_from", '{"kind": "a", "sha256": "b", "values": "c", "fit": "bend"}', "known are: stretch, pad"),
        ("parity", "[" * 100_000, "not the JSON expected"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(key: str, value: str, message: str) -> None:
    metadata = small_contract().to_metadata() | {f"colorbatch.{key}": value}
    with pytest.raises(ModelRefusedError, match=message):
        ModelContract.from_metadata(metadata)


@pytest.mark.parametrize("key", sorted(small_contract().to_metadata()))
def test_a_contract_that_lacks_a_key_is_refused(key: str) -> None:
    metadata = small_contract().to_metadata()
    del metadata[key]
    with pytest.raises(ModelRefusedError, match=f"lacks {key}|no colorbatch contract|not the JSON"):
        ModelContract.from_metadata(metadata)


def test_a_parity_of_levels_is_kept_and_one_of_earlier_files_still_read() -> None:
    parity = Parity(0.3, 0.03, 106, 3.0, "mean_rgb_levels", 2.1)
    metadata = small_contract(precision="int8", parity=parity).to_metadata()
    assert ModelContract.from_metadata(metadata).parity == parity
    earlier = {"max_abs": 1e-5, "mean_abs": 1e-6, "max_rgb_levels": 1, "tolerance": 1e-4}
    metadata["colorbatch.parity"] = json.dumps(earlier)
    found = ModelContract.from_metadata(metadata).parity
    assert (found.tolerance_of, found.mean_rgb_levels) == ("max_abs", None)
    metadata["colorbatch.parity"] = json.dumps(earlier | {"tolerance_of": "luck"})
    with pytest.raises(ModelRefusedError, match="tolerance_of"):
        ModelContract.from_metadata(metadata)


def test_hints_confidence_and_colors_are_told_only_of_models_that_have_them() -> None:
    contract = small_contract(hints=True, confidence=True, colors=((0.04, -0.08), (0.0, 0.0)))
    metadata = contract.to_metadata()
    assert (metadata["colorbatch.hints"], metadata["colorbatch.confidence"]) == ("yes", "yes")
    assert json.loads(metadata["colorbatch.colors"]) == [[0.04, -0.08], [0, 0]]
    assert ModelContract.from_metadata(metadata) == contract
    assert not {"colorbatch.hints", "colorbatch.confidence", "colorbatch.colors"} & set(small_contract().to_metadata())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hints", "no"),
        ("confidence", "0.5"),
        ("colors", "[]"),
        ("colors", "[[0.1]]"),
        ("colors", "[[0, 7]]"),
        ("colors", '[["a", "b"]]'),
        ("colors", "["),
        ("colors", str([[0, 0]] * 5000)),
        ("colors", "[[NaN, 0]]"),
    ],
)
def test_what_a_contract_cannot_say_of_hints_confidence_and_colors_is_refused(key: str, value: str) -> None:
    metadata = small_contract().to_metadata() | {f"colorbatch.{key}": value}
    with pytest.raises(ModelRefusedError, match=f"colorbatch.{key} is"):
        ModelContract.from_metadata(metadata)
