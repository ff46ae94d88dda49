"""TensorFlow's training records, read without TensorFlow.

A TFRecord file is a row of: length (uint64), its checksum, that many bytes, their checksum; the
bytes are a protocol buffer `tf.train.Example`, a map of names to lists. The whole file may be
compressed by zlib, as Basenji2's are. The length's checksum is looked at; a record's own would
take longer than all else, and a compressed file has another.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from howfar.core.errors import HowfarError

_PIECE = 1 << 20


def _crc_table() -> list[int]:
    """Return the table of CRC-32C (Castagnoli), reflected polynomial 0x82F63B78."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """Compute a record's checksum: CRC-32C, turned by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[dict[str, bytes]]:
    """Yield each record's bytes by name: the first of each list of bytes.

    Raises HowfarError, which counts records, for a file that is cut off or isn't of this kind.
    """
    count = 0
    stream = _bytes_of(path)
    held = bytearray()

    def take(size: int) -> bytes:
        """Return so many bytes, fewer at the file's end."""
        while len(held) < size and (piece := next(stream, b"")):
            held.extend(piece)
        taken = bytes(held[:size])
        del held[:size]
        return taken

    while head := take(12):
        if len(head) < 12 or masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
            raise _bad(path, count, "a length whose checksum is another")
        (length,) = struct.unpack("<Q", head[:8])
        data = take(length + 4)
        if len(data) < length + 4:
            raise _bad(path, count, "the end of the file")
        try:
            yield _features(memoryview(data)[:length])
        except (IndexError, ValueError) as error:
            raise _bad(path, count, "no tf.train.Example") from error
        count += 1


def _bad(path: Path, count: int, found: str) -> HowfarError:
    return HowfarError(
        f"{path}, record {count + 1:,}",
        found=found,
        expected="TFRecords, whole, as they are or compressed by zlib",
        do="Fetch the file again.",
    )


def _bytes_of(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, uncompressed."""
    with path.open("rb") as file:
        first = file.read(2)
        file.seek(0)
        packed = len(first) == 2 and first[0] == 0x78 and (first[0] * 256 + first[1]) % 31 == 0
        unpack = zlib.decompressobj() if packed else None
        while piece := file.read(_PIECE):
            try:
                yield unpack.decompress(piece) if unpack else piece
            except zlib.error as error:
                raise HowfarError(
                    str(path),
                    found=f"damaged zlib data ({error})",
                    expected="TFRecords compressed by zlib",
                    do="Fetch the file again.",
                ) from error


def _features(example: memoryview) -> dict[str, bytes]:
    """Take an Example apart: Example.features (1), its map (1) of key (1) and value (2)."""
    found = {}
    for _, features in _fields(example, 1):
        for _, entry in _fields(features, 1):
            parts = dict(_fields(entry))
            for _, listed in _fields(parts[2], 1):  # Feature.bytes_list
                values = [value for _, value in _fields(listed, 1)]
                found[bytes(parts[1]).decode()] = bytes(values[0])
    return found


def _fields(message: memoryview, wanted: int | None = None) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields of a message that have a length: number and bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 2:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field longer than its message")
            if wanted is None or number == wanted:
                yield number, message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
