"""Files that are no pictures are told by what other programs write."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import onnx
import pytest
import torch
from helpers import small_model

from colorbatch.file_type import FileType, file_type_named, file_type_of


def zipped(*members: tuple[str, bytes]) -> bytes:
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members:
                archive.writestr(name, content)
        return buffer.getvalue()


def in_tar() -> bytes:
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.jpg"))
        return buffer.getvalue()


def checkpoint(*, zipped: bool) -> bytes:
    with io.BytesIO() as buffer:
        torch.save({"weight": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=zipped)
        return buffer.getvalue()


def name_of(found: FileType | None) -> str | None:
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: b"%PDF-1.7\n", "a PDF"),  # ISO 32000-1, 7.5.2
        (lambda: zipped(("[Content_Types].xml", b"<Types/>")), "an office document"),
        (lambda: zipped(("mimetype", b"application/vnd.oasis.opendocument.text")), "an office document"),
        (lambda: zipped(("mimetype", b"application/epub+zip")), "an e-book"),
        (lambda: zipped(("a.jpg", b"")), "an archive"),
        (zipped, "an archive"),
        (lambda: gzip.compress(b"a"), "an archive"),
        (lambda: bz2.compress(b"a"), "an archive"),
        (lambda: lzma.compress(b"a"), "an archive"),
        (in_tar, "an archive"),
        (lambda: b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
        (lambda: b"\0\0\0\x14ftypqt  \0\0\0\0", "a video"),
        (lambda: b"RIFF\0\0\1\0AVI LIST", "a video"),
        (lambda: b"\0\0\0\x18ftypcrx \0\0\0\1", None),  # a raw file of Canon
        (lambda: b"\n <!DOCTYPE HTML><p>404", "a web page (HTML)"),
        (lambda: b"\xef\xbb\xbf<html>", "a web page (HTML)"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (lambda: checkpoint(zipped=True), "a checkpoint of PyTorch"),
        (lambda: checkpoint(zipped=False), "a checkpoint of PyTorch"),
        (lambda: small_model().SerializeToString(), "an ONNX model"),
        (lambda: onnx.ModelProto(ir_version=8, producer_name="x").SerializeToString(), "an ONNX model"),
        (lambda: b"", "empty"),
        (lambda: b"no", None),
        (lambda: bytes(600), None),
    ],
)
def test_types_are_told_by_their_first_bytes(make: Callable[[], bytes], name: str | None) -> None:
    assert name_of(file_type_of(make()[:512])) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.PDF", "a PDF"),
        ("b.docx", "an office document"),
        ("b.Mp4", "a video"),
        ("b.tar.gz", "an archive"),
        ("b.jpg", None),
        ("pdf", None),
        ("b.txt", None),
    ],
)
def test_types_are_told_by_extensions(name: str, expected: str | None) -> None:
    assert name_of(file_type_named(name)) == expected
