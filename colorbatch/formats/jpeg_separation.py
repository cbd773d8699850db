"""Separate the coded luma of a JPEG from the chroma that shares its scans, without changing a coefficient.

MozJPEG codes the coefficients of a file again, in progressive scans of which only the first, that of the DC
coefficients, holds luma and chroma together. It does so in a process of its own, since libraries of this family end
the process at some damaged files. libjpeg then reads the DC coefficients: in a file of 12 bits per sample with this
scan alone and steps of 8, a pixel is 2,048 plus the DC coefficient of its block, and none is clipped. They are then
coded for luma alone. Sources: ITU-T T.81, sections A.3.3 (level shift and DCT), F.1.2.1 (codes of DC coefficients),
G.1.2.2 (runs of blocks without AC coefficients).
"""

import struct
import subprocess
import sys

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from colorbatch.environment import environment_of_children
from colorbatch.formats.jpeg_segments import DHT, DQT, DRI, EOI, PROGRESSIVE, SOI, SOS, segment, segments

_TRANSCODER = (
    "import sys; sys.path[:] = sys.argv[1:]; from mozjpeg_lossless_optimization import optimize; "
    "sys.stdout.buffer.write(optimize(sys.stdin.buffer.read()))"
)
_SECONDS = 120
"""Time after which the transcoder is stopped; it takes half a second for 12 MP."""
_BLOCK = 8
_ALL_STEPS_8 = b"\0" + bytes([8] * _BLOCK**2)
"""Quantisation table 0."""
_MIDDLE_OF_12_BITS = 2048
_WHOLE_DC = b"\0\0\0"
"""Parameters of a scan: from coefficient 0 to 0, all bits at once."""
_DC_CODE_LENGTHS = np.array([2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9])
"""Of the categories 0 to 11 of DC differences (ITU-T T.81, table K.3)."""
_RUN_CODES = b"\x10" + bytes([0, 0, 0, 15, *([0] * 12)]) + bytes(range(0, 0xF0, 0x10))
"""AC table 0: codes of 4 bits, 0 to 14, for runs of 2^0 to 2^14 blocks."""
_LONGEST_RUN = 14


def separated(data: bytes) -> bytes:
    """Return a grey JPEG of the coded luma of a file: its coefficients and quantisation table, without metadata.

    Args:
        data: a file in YCbCr that decodes without an error.

    Raises:
        ValueError, struct.error, IndexError: its luma cannot be separated.

    """
    transcoded = list(segments(_transcoded(data)))
    frame = next((content for marker, content, _ in transcoded if marker == PROGRESSIVE), None)
    if frame is None:
        raise ValueError("its transcoded form is not progressive")
    luma = frame[6]
    parts: list[bytes | memoryview] = [SOI]
    for marker, content, coded in transcoded:
        if marker == PROGRESSIVE:
            parts.append(segment(marker, frame[:5] + bytes([1, luma, 0x11, frame[8]])))
        elif marker in (DQT, DHT):
            parts.append(segment(marker, content))
        elif marker == DRI:
            raise ValueError("its transcoded scans have restart markers")
        elif marker == SOS and content[:2] == bytes([1, luma]):
            parts += [segment(marker, content), coded]
        elif marker == SOS and content[0] > 1:
            parts.append(_dc_scan(_dc_of(transcoded, frame), luma))
    return b"".join([*parts, EOI])


def _transcoded(data: bytes) -> bytes:
    """Return a progressive JPEG with the coefficients of another, transcoded by a process of its own.

    Raises:
        ValueError: the process failed.

    """
    if not sys.executable or getattr(sys, "frozen", False):  # a frozen executable would run the whole program again
        raise ValueError("no Python interpreter was found for the transcoder")
    try:
        ended = subprocess.run(  # noqa: S603 (our own code)
            [sys.executable, "-c", _TRANSCODER, *filter(None, sys.path)],  # without the working folder
            input=data,
            capture_output=True,
            env=environment_of_children(),
            check=True,
            timeout=_SECONDS,
            start_new_session=True,  # Ctrl-C reaches only this process
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(f"MozJPEG cannot transcode it: {last.removeprefix('ValueError: ') or error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"MozJPEG cannot be run: {error}") from error
    return ended.stdout


def _dc_of(transcoded: list[tuple[int, bytes, bytes | memoryview]], frame: bytes) -> NDArray[np.int64]:
    """Return the DC coefficients of luma ``[rows, columns]`` of blocks, from the only scan of several components."""
    scans = [number for number, (marker, content, _) in enumerate(transcoded) if marker == SOS and content[0] > 1]
    if len(scans) != 1 or transcoded[scans[0]][1][-3:] != _WHOLE_DC:
        raise ValueError("its transcoded DC coefficients are not in one scan")
    components = [bytes([*frame[start : start + 2], 0]) for start in range(6, len(frame), 3)]
    tables = [segment(DHT, content) for marker, content, _ in transcoded[: scans[0]] if marker == DHT]
    _, parameters, coded = transcoded[scans[0]]
    rows, columns = (-(-side // _BLOCK) for side in struct.unpack_from(">HH", frame, 1))
    only_dc = b"".join(
        [
            SOI,
            segment(DQT, _ALL_STEPS_8),
            segment(PROGRESSIVE, bytes([12]) + frame[1:6] + b"".join(components)),
            *tables,
            segment(SOS, parameters),
            coded,
            segment(DHT, _RUN_CODES),  # without AC coefficients, libjpeg would smooth the blocks
            segment(SOS, bytes([1, frame[6], 0, 1, _BLOCK**2 - 1, 0])),
            _coded_run(rows * columns),
            EOI,
        ]
    )
    levels = imagecodecs.jpeg8_decode(only_dc, colorspace="YCbCr", outcolorspace="GRAYSCALE")
    return levels[::_BLOCK, ::_BLOCK].astype(np.int64) - _MIDDLE_OF_12_BITS


def _coded_run(blocks: int) -> bytes:
    """Return a scan of blocks without AC coefficients, in codes of ``_RUN_CODES``."""
    values, lengths = [], []
    while blocks:
        power = min(_LONGEST_RUN, blocks.bit_length() - 1)
        run = min(blocks, 2 ** (power + 1) - 1)
        values.append(power << power | run - 2**power)
        lengths.append(4 + power)
        blocks -= run
    return _packed(np.array(values), np.array(lengths))


def _dc_scan(coefficients: NDArray[np.int64], component: int) -> bytes:
    """Return the segments of a scan of DC coefficients ``[rows, columns]`` of one component."""
    differences = np.diff(coefficients.ravel(), prepend=0)
    categories = np.frexp(np.abs(differences).astype(np.float64))[1]  # number of bits
    if categories.max() >= len(_DC_CODE_LENGTHS):
        raise ValueError("its DC coefficients are out of range")
    counts = np.bincount(_DC_CODE_LENGTHS, minlength=17)[1:]
    table = segment(DHT, b"\0" + bytes(counts.tolist()) + bytes(range(len(_DC_CODE_LENGTHS))))
    codes = _canonical_codes(_DC_CODE_LENGTHS)
    extra = np.where(differences < 0, differences + (1 << categories) - 1, differences)
    coded = _packed(codes[categories] << categories | extra, _DC_CODE_LENGTHS[categories] + categories)
    return table + segment(SOS, bytes([1, component, 0]) + _WHOLE_DC) + coded


def _canonical_codes(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the Huffman codes of ascending ``lengths`` (ITU-T T.81, figure C.2)."""
    codes = [0]
    for shorter, longer in zip(lengths[:-1].tolist(), lengths[1:].tolist(), strict=True):
        codes.append(codes[-1] + 1 << longer - shorter)
    return np.array(codes)


def _packed(values: NDArray[np.int64], lengths: NDArray[np.int64]) -> bytes:
    """Return the lowest ``lengths`` bits of the values, one after the other, filled up with ones and stuffed."""
    ends = np.cumsum(lengths)
    bits = np.ones(-(-int(ends[-1]) // 8) * 8, np.uint8)
    for place in range(int(lengths.max())):
        reaches = lengths > place
        bits[ends[reaches] - 1 - place] = values[reaches] >> place & 1
    return np.packbits(bits).tobytes().replace(b"\xff", b"\xff\0")
