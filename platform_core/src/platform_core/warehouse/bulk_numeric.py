"""Postgres' binary numeric from and to Arrow decimals, column by column, without rounding.

Wire format (numeric.c, numeric_send): int16 number of base-10000 digits, int16 weight of the first, uint16 sign, int16
digits after the point to show, then the digits. Arrow: a two's complement integer of 16 or 32 bytes, little-endian, times
10^-scale. Both sides are worked as numpy columns; wide integers are columns of 32-bit limbs held in uint64.
"""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
import pyarrow as pa

from platform_core.warehouse.bulk_errors import BulkError
from platform_core.warehouse.bulk_types import decimal_type

_NEGATIVE, _SPECIAL = 0x4000, 0xC000
_LOW = np.uint64(0xFFFFFFFF)
_BITS = np.uint64(32)


def encode_numeric(array: pa.Array) -> np.ndarray:
    """Binary numeric of each value, all of one width (the server drops leading and trailing zero digits).

    Args:
        array: decimal128 or decimal256, scale not negative. Values of NULL slots are arbitrary.

    Returns:
        Void array of the encoded values.
    """
    scale = array.type.scale
    pad = -scale % 4
    magnitude, negative = _magnitude(array)
    _multiply_add(magnitude, 10**pad, None)
    fraction_groups = (scale + pad) // 4
    digits: list[np.ndarray] = []  # least significant first
    while magnitude.any() or len(digits) < fraction_groups:
        digits.append(_divide(magnitude, 10_000))
    count = len(digits)
    out = np.zeros((len(array), 4 + count), dtype=">i2")
    out[:, 0], out[:, 1], out[:, 3] = count, count - fraction_groups - 1, scale
    out[:, 2] = np.where(negative, _NEGATIVE, 0)
    for index, digit in enumerate(reversed(digits)):
        out[:, 4 + index] = digit
    return out.view(f"V{8 + 2 * count}").reshape(len(array))


def decode_numeric(buffer: np.ndarray, start: np.ndarray, valid: np.ndarray, target: pa.DataType | None, column: str) -> pa.Array:
    """Decimals from binary numerics.

    Args:
        buffer: The bytes, padded at the end.
        start: Where each value begins (anywhere for NULL).
        valid: Which are not NULL.
        target: Decimal type; None to take the smallest scale and width that holds them all.
        column: Name for messages.

    Raises:
        BulkError: A value is NaN or infinite, or has more digits than Arrow holds.
    """
    int16 = np.ndarray((len(buffer) - 1,), ">i2", buffer=buffer, strides=(1,))
    at = np.where(valid, start, 0)
    count, weight, sign, shown = (np.where(valid, int16[at + 2 * i], 0).astype(np.int64) for i in range(4))
    if ((sign & 0xFFFF) >= _SPECIAL).any():
        raise BulkError(
            "holds numeric NaN or infinity, which no Arrow decimal can carry",
            where=f"column {column!r}",
            remedy=f"read NULLIF({column}, 'NaN') or cast the column to double precision in the query",
        )
    first = np.where(count > 0, int16[at + 8], 0)
    lead = np.searchsorted([1, 10, 100, 1000], first, side="right")
    integer_digits = max(int(np.max(np.where(count > 0, 4 * weight + lead, 0), initial=0)), 0)
    scale = int(shown.max(initial=0)) if target is None else int(target.scale)
    if target is None or integer_digits + scale > target.precision:
        target = decimal_type(integer_digits, scale, column=column)
    bottom = -(-scale // 4)
    # as many limbs as the digits need (a decimal digit has less than 3.33 bits), not as many as the type has
    limbs = (integer_digits + 4 * bottom + 4) * 333 // 3200 + 1
    magnitude = np.zeros((limbs, len(start)), dtype=np.uint64)
    for group in range(int(weight.max(initial=0)), -bottom - 1, -1):
        index = weight - group
        present = (index >= 0) & (index < count)
        _multiply_add(magnitude, 10_000, np.where(present, int16[np.where(present, at + 8 + 2 * index, 0)], 0))
    _divide(magnitude, 10 ** (4 * bottom - scale))
    return _decimal(magnitude, (sign & 0xFFFF) == _NEGATIVE, valid, target)


def _magnitude(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Absolute values as limbs (least significant first, one spare), and which were negative."""
    limbs = array.type.bit_width // 32
    raw = np.frombuffer(array.buffers()[1], dtype="<u4")[array.offset * limbs : (array.offset + len(array)) * limbs]
    columns = raw.reshape(len(array), limbs).T.astype(np.uint64)
    if array.null_count:
        columns *= np.asarray(array.is_valid().to_numpy(zero_copy_only=False))
    negative = columns[-1] >> np.uint64(31) == 1
    if negative.any():
        _negate(columns, negative)
    used = limbs
    while used > 1 and not columns[used - 1].any():  # most columns hold small numbers: work on the limbs in use only
        used -= 1
    return np.vstack([columns[:used], np.zeros((1, len(array)), dtype=np.uint64)]), negative


def _negate(limbs: np.ndarray, where: np.ndarray) -> None:
    carry = where.astype(np.uint64)
    flip = np.where(where, _LOW, np.uint64(0))
    for index in range(len(limbs)):
        limbs[index] ^= flip
        limbs[index] += carry
        carry = limbs[index] >> _BITS
        limbs[index] &= _LOW


def _multiply_add(limbs: np.ndarray, factor: int, addend: np.ndarray | None) -> None:
    if factor == 1 and addend is None:
        return
    carry = np.zeros(limbs.shape[1], dtype=np.uint64) if addend is None else addend.astype(np.uint64)
    for index in range(len(limbs)):
        limbs[index] *= np.uint64(factor)
        limbs[index] += carry
        carry = limbs[index] >> _BITS
        limbs[index] &= _LOW


def _divide(limbs: np.ndarray, divisor: int) -> np.ndarray:
    """Divides in place and returns the remainders."""
    remainder = np.zeros(limbs.shape[1], dtype=np.uint64)
    if divisor == 1:
        return remainder
    by = np.uint64(divisor)
    for index in reversed(range(len(limbs))):
        whole = limbs[index] | remainder << _BITS
        limbs[index] = whole // by
        remainder = whole - limbs[index] * by
    return remainder


def _decimal(limbs: np.ndarray, negative: np.ndarray, valid: np.ndarray, target: pa.DataType) -> pa.Array:
    words = np.zeros((target.bit_width // 32, len(valid)), dtype=np.uint64)
    shared = min(len(words), len(limbs))
    words[:shared] = limbs[:shared]
    if negative.any():
        _negate(words, negative)
    data = np.ascontiguousarray(words.T.astype("<u4"))
    validity = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(target, len(valid), [validity, pa.py_buffer(data)])
