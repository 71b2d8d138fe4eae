"""A .limn file: what it is, of which model, which pictures, how their codes are coded, the coded codes, a checksum.

LIMN 1 | digest of the model (8) | scheme (1) | pictures: how many, shapes, names | the scheme's own numbers |
coded codes | CRC-32 (4)
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from limner.core.errors import UserError

MAGIC = b"LIMN\1"
ADVICE = "copy it again, or make it anew with limner compress"
Shape = tuple[int, int, int]
"""Height, width, channels of a picture."""


@dataclass(frozen=True)
class Parts:
    """What a file says.

    digest: of the networks that decode it, 16 hexadecimal digits
    shapes: of the pictures, in order
    names: of the pictures, or none at all
    scheme: how codes are coded, a letter
    told: the scheme's own numbers
    coded: the codes
    """

    digest: str
    shapes: tuple[Shape, ...]
    names: tuple[str, ...]
    scheme: str
    told: bytes
    coded: bytes


def pack(parts: Parts) -> bytes:
    """The bytes of a file."""
    alike = len(set(parts.shapes)) == 1
    numbers = [len(parts.shapes), int(alike), *(v for s in (parts.shapes[:1] if alike else parts.shapes) for v in s)]
    names = zlib.compress("\n".join(parts.names).encode(), 9) if parts.names else b""
    body = MAGIC + bytes.fromhex(parts.digest) + parts.scheme.encode() + b"".join(map(varint, numbers))
    body += b"".join(varint(len(part)) + part for part in (names, parts.told)) + parts.coded
    return body + zlib.crc32(body).to_bytes(4, "little")


def unpack(content: bytes) -> Parts:
    """What `pack` was given. Raises UserError when the bytes are not such a file, or not as they were written."""
    if not content.startswith(MAGIC[:4]):
        raise UserError("this is no .limn file; give one that limner compress made")
    if content[4:5] != MAGIC[4:]:
        raise UserError("this .limn file is of another version of limner; take that one, or make it anew")
    body, checksum = content[:-4], content[-4:]
    if len(content) < len(MAGIC) + 16 or zlib.crc32(body).to_bytes(4, "little") != checksum:
        raise UserError(f"the file is damaged or cut short: its checksum is not that of its content; {ADVICE}")
    digest, scheme, bytes_ = body[len(MAGIC) :][:8], chr(body[len(MAGIC) + 8]), Bytes(body[len(MAGIC) + 9 :])
    count, alike = bytes_.number(), bytes_.number()
    shapes = [(bytes_.number(), bytes_.number(), bytes_.number()) for _ in range(1 if alike else count)]
    names, told = bytes_.string(), bytes_.string()
    listed = tuple(zlib.decompress(names).decode().split("\n")) if names else ()
    whole = tuple(shapes * count if alike else shapes)
    return Parts(digest.hex(), whole, listed, scheme, told, bytes_.rest)


class Bytes:
    """Bytes that are read from the front."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def rest(self) -> bytes:
        """What was not read yet."""
        return self._content[self._at :]

    def number(self) -> int:
        """The next varint."""
        value = shift = 0
        while True:
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def string(self) -> bytes:
        """The next bytes that have their length before them."""
        size = self.number()
        self._at += size
        return self._content[self._at - size : self._at]


def varint(value: int) -> bytes:
    """A number from 0 on in as few bytes as it needs, seven bits each."""
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def pack_rows(rows: Sequence[NDArray[np.int64]]) -> bytes:
    """Arrays of small numbers: each as 16 bits, deflated where there are many."""
    plain = b"".join(varint(len(row)) for row in rows) + b"".join(row.astype("<i2").tobytes() for row in rows)
    small = zlib.compress(plain, 9)
    return b"\1" + small if len(small) < len(plain) else b"\0" + plain


def unpack_rows(content: bytes, count: int) -> list[NDArray[np.int64]]:
    """The arrays that `pack_rows` was given."""
    read = Bytes(zlib.decompress(content[1:]) if content[0] else content[1:])
    sizes = [read.number() for _ in range(count)]
    ends = np.cumsum([0, *sizes]) * 2
    rest = read.rest
    return [np.frombuffer(rest[a:b], "<i2").astype(np.int64) for a, b in pairwise(ends)]
