import sys

import pytest
from PIL import Image, features

from colorbatch.formats import kinds, png, trial
from colorbatch.formats.trial import Trial, try_all
from colorbatch.pixels.picture import Frame, Picture


def found() -> dict[str, Trial]:
    return {each.kind: each for each in try_all()}


def test_every_kind_that_is_read_is_tried_and_works_here() -> None:
    trials = found()
    assert len(trials) == len(try_all())
    names = {"HEIF": "HEIC", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "PPM": "Netpbm", "RAW": "raw"}
    wanted = {names.get(name, name) for name in kinds.KINDS}
    assert {kind.partition(",")[0] for kind in trials} == wanted
    broken = [each for each in trials.values() if not each.reads or each.writes is False or each.problem]
    assert [each.kind for each in broken] == ([] if features.check("avif") else ["AVIF"])
    assert all(trials[kind].writes for kind in ("JPEG", "PNG, 16 bits", "TIFF, lzw", "WebP", "JPEG 2000"))
    assert trials["GIF"].writes is None


def test_without_an_extra_its_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic = found()["HEIC"]
    assert not heic.reads
    assert "pip install 'colorbatch[heif]'" in heic.problem
    assert not heic.is_needed


def test_without_the_extra_for_raw_files_its_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    raw = found()["raw"]
    assert "pip install 'colorbatch[raw]'" in raw.problem
    assert (raw.reads, raw.is_needed) == (False, False)


def test_a_kind_that_pillow_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.delitem(Image.SAVE, "AVIF", raising=False)
    avif = found()["AVIF"]
    assert "pip install --upgrade --force-reinstall pillow" in avif.problem
    assert (avif.reads, avif.is_needed) == (False, False)


def test_what_cannot_be_written_and_what_comes_back_different_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_frame: object) -> bytes:
        raise OSError("encoder webp not available")

    monkeypatch.setattr("colorbatch.formats.webp.encode", fails)
    whole = png.encode
    monkeypatch.setattr(png, "encode", lambda frame: whole(frame)[:-30])
    trials = found()
    assert trials["WebP"] == Trial("WebP", reads=False, writes=False, problem=trials["WebP"].problem)
    assert "encoder webp not available" in trials["WebP"].problem
    assert trials["WebP"].is_needed
    assert (trials["PNG"].reads, trials["PNG"].writes) == (False, True)
    assert trials["JPEG"].reads


def test_a_decoder_that_gives_another_picture_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Picture((Frame(255 - trial._levels()),))  # noqa: SLF001
    monkeypatch.setattr(trial, "decode", lambda _data: whole)
    assert all("levels when read back" in each.problem and not each.reads for each in try_all())
