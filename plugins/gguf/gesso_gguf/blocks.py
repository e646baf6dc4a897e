"""The values of GGUF's blocks, in torch alone: on any device, without a detour through numpy.

Each function takes blocks (n, bytes) uint8 and returns (n, values) float32, to the bit what gguf-py computes
(https://github.com/ggml-org/llama.cpp/tree/master/gguf-py, MIT).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch

Tensor = torch.Tensor
E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
"""Four-bit floats, doubled."""
IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def _split(blocks: Tensor, *sizes: int) -> tuple[Tensor, ...]:
    """Fields of these sizes, and the rest."""
    return tuple(blocks.split([*sizes, blocks.shape[1] - sum(sizes)], 1))


def _half(field: Tensor) -> Tensor:
    """Bytes of float16 numbers → float32."""
    return field.contiguous().view(torch.float16).float()


def _word(field: Tensor, size: int) -> Tensor:
    """Little-endian unsigned numbers of `size` bytes, int64."""
    numbers = field.reshape(field.shape[0], -1, size).long()
    return sum((numbers[..., i] << (8 * i) for i in range(1, size)), numbers[..., 0])


def _shifted(field: Tensor, shifts: Sequence[int], width: int, mask: int) -> Tensor:
    """(n, m) → (n, m/width, len(shifts), width): bits of each byte, first those of the lowest shift."""
    by = torch.tensor(shifts, dtype=field.dtype, device=field.device)[:, None]
    return (field.reshape(field.shape[0], -1, 1, width) >> by) & mask


def _bits(field: Tensor) -> Tensor:
    """(n, m) bytes → (n, 8m) of their bits, lowest first."""
    return _shifted(field, range(8), 1, 1).flatten(1)


def _nibbles(field: Tensor) -> Tensor:
    """The low halves of all bytes, then the high ones."""
    return torch.cat([field & 15, field >> 4], 1)


def _table(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def _look(table: Tensor, codes: Tensor) -> Tensor:
    """`table[codes]`, by the faster way."""
    return table.index_select(0, codes.flatten().int()).reshape(*codes.shape, *table.shape[1:])


def q4_0(blocks: Tensor) -> Tensor:
    d, qs = _split(blocks, 2)
    return _half(d) * (_nibbles(qs).view(torch.int8) - 8).float()


def q4_1(blocks: Tensor) -> Tensor:
    d, m, qs = _split(blocks, 2, 2)
    return _half(d) * _nibbles(qs).float() + _half(m)


def q5_0(blocks: Tensor) -> Tensor:
    d, qh, qs = _split(blocks, 2, 4)
    return _half(d) * ((_nibbles(qs) | _bits(qh) << 4).view(torch.int8) - 16).float()


def q5_1(blocks: Tensor) -> Tensor:
    d, m, qh, qs = _split(blocks, 2, 2, 4)
    return _half(d) * (_nibbles(qs) | _bits(qh) << 4).float() + _half(m)


def q8_0(blocks: Tensor) -> Tensor:
    d, qs = _split(blocks, 2)
    return qs.view(torch.int8).float() * _half(d)


def q2_k(blocks: Tensor) -> Tensor:
    scales, qs, d, dmin = _split(blocks, 16, 64, 2)
    scale, low = _half(d) * (scales & 15).float(), _half(dmin) * (scales >> 4).float()
    values = _shifted(qs, (0, 2, 4, 6), 32, 3).reshape(-1, 16, 16).float()
    return (scale[..., None] * values - low[..., None]).flatten(1)


def q3_k(blocks: Tensor) -> Tensor:
    mask, qs, scales, d = _split(blocks, 32, 64, 12)
    low = _shifted(scales[:, :8], (0, 4), 8, 15).flatten(1)
    high = _shifted(scales[:, 8:], (0, 2, 4, 6), 4, 3).flatten(1)
    scale = _half(d) * ((low | high << 4).view(torch.int8) - 32).float()
    values = _shifted(qs, (0, 2, 4, 6), 32, 3).reshape(-1, 16, 16)
    # The bit says that the offset of four is not taken off.
    offset = (_shifted(mask, range(8), 32, 1).reshape(-1, 16, 16) ^ 1) << 2
    return (scale[..., None] * (values.view(torch.int8) - offset.view(torch.int8)).float()).flatten(1)


def _scale_min(scales: Tensor) -> tuple[Tensor, Tensor]:
    """Eight 6-bit scales and minima out of 12 bytes."""
    d, m, both = scales.split(4, 1)
    scale = torch.cat([d & 63, (both & 15) | (d >> 2) & 48], 1)
    low = torch.cat([m & 63, (both >> 4) | (m >> 2) & 48], 1)
    return scale.float(), low.float()


def _k_sum(d: Tensor, dmin: Tensor, scales: Tensor, values: Tensor) -> Tensor:
    scale, low = _scale_min(scales)
    return ((_half(d) * scale)[..., None] * values.float() - (_half(dmin) * low)[..., None]).flatten(1)


def q4_k(blocks: Tensor) -> Tensor:
    d, dmin, scales, qs = _split(blocks, 2, 2, 12)
    return _k_sum(d, dmin, scales, _shifted(qs, (0, 4), 32, 15).reshape(-1, 8, 32))


def q5_k(blocks: Tensor) -> Tensor:
    d, dmin, scales, qh, qs = _split(blocks, 2, 2, 12, 32)
    high = _shifted(qh, range(8), 32, 1).reshape(-1, 8, 32)
    return _k_sum(d, dmin, scales, _shifted(qs, (0, 4), 32, 15).reshape(-1, 8, 32) | high << 4)


def q6_k(blocks: Tensor) -> Tensor:
    ql, qh, scales, d = _split(blocks, 128, 64, 16)
    low = _shifted(ql, (0, 4), 64, 15).reshape(-1, 8, 32)
    high = _shifted(qh, (0, 2, 4, 6), 32, 3).reshape(-1, 8, 32)
    values = ((low | high << 4).view(torch.int8) - 32).reshape(-1, 16, 16).float()
    scale = _half(d) * scales.contiguous().view(torch.int8).float()
    return (scale[..., None] * values).flatten(1)


def _ternary(field: Tensor, width: int, digits: int) -> Tensor:
    """Base-3 digits of bytes that hold them as a fraction of 256: multiplied up, the next digit overflows."""
    powers = torch.tensor([3**i for i in range(digits)], dtype=torch.uint8, device=field.device)[:, None]
    return (field.reshape(field.shape[0], -1, 1, width) * powers).flatten(1)


def tq1_0(blocks: Tensor) -> Tensor:
    q0, q1, q2, d = _split(blocks, 32, 16, 4)
    digits = torch.cat([_ternary(q0, 32, 5), _ternary(q1, 16, 5), _ternary(q2, 4, 4)], 1)
    return _half(d) * ((digits.int() * 3 >> 8) - 1).float()


def tq2_0(blocks: Tensor) -> Tensor:
    qs, d = _split(blocks, 64)
    return _half(d) * (_shifted(qs, (0, 2, 4, 6), 32, 3).flatten(1).view(torch.int8) - 1).float()


def mxfp4(blocks: Tensor) -> Tensor:
    e, qs = _split(blocks, 1)
    exponent = e.int()
    # 2^(e - 128): the table's values are doubled. The two smallest are subnormal.
    bits = torch.where(exponent < 2, 0x00200000 << exponent.clamp(max=1), (exponent - 1) << 23)
    return bits.view(torch.float32) * _look(_table(E2M1, blocks.device), _nibbles(qs))


def nvfp4(blocks: Tensor) -> Tensor:
    d, qs = _split(blocks, 4)
    scale = (d & 127).contiguous().view(torch.float8_e4m3fn).float()
    scale = torch.where((d == 0) | (d == 127), torch.zeros_like(scale), scale * 0.5)
    scale = torch.where(d == 255, torch.full_like(scale, 240.0), scale)  # only 0x7F is no number to the reference
    codes = _shifted(qs, (0, 4), 8, 15).reshape(-1, 4, 16)
    return (scale[..., None] * _look(_table(E2M1, blocks.device), codes)).flatten(1)


def iq4_nl(blocks: Tensor) -> Tensor:
    d, qs = _split(blocks, 2)
    return _half(d) * _look(_table(IQ4, blocks.device), _nibbles(qs))


def iq4_xs(blocks: Tensor) -> Tensor:
    d, high, low, qs = _split(blocks, 2, 2, 4)
    twos = torch.arange(0, 16, 2, device=blocks.device)
    scales = _shifted(low, (0, 4), 1, 15).flatten(1).int() | ((_word(high, 2) >> twos) & 3).int() << 4
    values = _look(_table(IQ4, blocks.device), _shifted(qs, (0, 4), 16, 15).reshape(-1, 8, 32))
    return ((_half(d) * (scales - 32).float())[..., None] * values).flatten(1)


@functools.lru_cache(maxsize=32)
def _grid(name: str, device: torch.device) -> Tensor:
    """A code book of the format, (entries, values); gguf-py carries them."""
    from gguf import quants

    book = getattr(quants, name)
    book.init_grid()
    return torch.from_numpy(book.grid.copy()).reshape(book.grid_shape).to(device)


@functools.lru_cache(maxsize=8)
def _signs(device: torch.device) -> Tensor:
    """(128, 8) of ±1: seven bits say the signs of seven values, and the eighth makes their number even."""
    numbers = torch.arange(128, device=device)
    bits = (numbers[:, None] >> torch.arange(7, device=device)) & 1
    return 1.0 - 2.0 * torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1)


def _sign_bits(field: Tensor) -> Tensor:
    return 1.0 - 2.0 * _bits(field).float()


def _sevens(words: Tensor) -> Tensor:
    """The signs of 32 values out of the low 28 bits of a word: (n, w) → (n, w, 4, 8)."""
    index = (words[..., None] >> torch.tensor([0, 7, 14, 21], device=words.device)) & 127
    return _look(_signs(words.device), index)


def iq2_xxs(blocks: Tensor) -> Tensor:
    d, qs = _split(blocks, 2)
    codes = qs.reshape(-1, 8, 8)
    words = _word(codes[..., 4:].reshape(-1, 32), 4)
    scale = _half(d) * (0.5 + (words >> 28).float()) * 0.25
    grid = _look(_grid("IQ2_XXS", blocks.device), codes[..., :4])
    return (scale[..., None, None] * grid * _sevens(words)).flatten(1)


def _half_scales(d: Tensor, scales: Tensor) -> Tensor:
    return _half(d) * (0.5 + _shifted(scales, (0, 4), 1, 15).flatten(1).float()) * 0.25


def iq2_xs(blocks: Tensor) -> Tensor:
    d, qs, scales = _split(blocks, 2, 64)
    words = _word(qs, 2)
    values = _look(_grid("IQ2_XS", blocks.device), words & 511) * _look(_signs(blocks.device), words >> 9)
    scale = _half_scales(d, scales)
    return (scale[..., None, None] * values.reshape(-1, 16, 2, 8)).flatten(1)


def iq2_s(blocks: Tensor) -> Tensor:
    d, qs, signs, qh, scales = _split(blocks, 2, 32, 32, 8)
    index = qs.int() | _shifted(qh, (0, 2, 4, 6), 1, 3).flatten(1).int() << 8
    values = _look(_grid("IQ2_S", blocks.device), index) * _sign_bits(signs).reshape(-1, 32, 8)
    return (_half_scales(d, scales)[..., None, None] * values.reshape(-1, 16, 2, 8)).flatten(1)


def iq3_xxs(blocks: Tensor) -> Tensor:
    d, qs, scales = _split(blocks, 2, 64)
    words = _word(scales, 4)
    scale = _half(d) * (0.5 + (words >> 28).float()) * 0.5
    grid = _look(_grid("IQ3_XXS", blocks.device), qs).reshape(-1, 8, 4, 8)
    return (scale[..., None, None] * grid * _sevens(words)).flatten(1)


def iq3_s(blocks: Tensor) -> Tensor:
    d, qs, qh, signs, scales = _split(blocks, 2, 64, 8, 32)
    scale = _half(d) * (1 + 2 * _shifted(scales, (0, 4), 1, 15).flatten(1).int()).float()
    grid = _look(_grid("IQ3_S", blocks.device), qs.int() | _bits(qh).int() << 8).reshape(-1, 8, 4, 8)
    return (scale[..., None, None] * grid * _sign_bits(signs).reshape(-1, 8, 4, 8)).flatten(1)


def iq1_s(blocks: Tensor) -> Tensor:
    d, qs, qh = _split(blocks, 2, 32)
    words = _word(qh, 2)
    scale = _half(d) * (2 * ((words >> 12) & 7) + 1).float()
    delta = torch.where(words & 0x8000 == 0, 0.125, -0.125)
    high = (words[..., None] >> torch.tensor([0, 3, 6, 9], device=blocks.device)) & 7
    grid = _look(_grid("IQ1_S", blocks.device), qs.int() | high.flatten(1).int() << 8).reshape(-1, 8, 4, 8)
    return (scale[..., None, None] * (grid + delta[..., None, None])).flatten(1)


def iq1_m(blocks: Tensor) -> Tensor:
    qs, qh, scales = _split(blocks, 32, 16)
    words = _word(scales, 2)
    # The scale of the whole block lies in the highest four bits of each word.
    parts = (words & 0xF000) >> torch.tensor([12, 8, 4, 0], device=blocks.device)
    d = parts.sum(1, keepdim=True).to(torch.int32).to(torch.int16).view(torch.float16).float()
    each = ((words[..., None] >> torch.tensor([0, 3, 6, 9], device=blocks.device)) & 7).flatten(1)
    scale = d * (2 * each + 1).float()
    high = _shifted(qh, (0, 4), 1, 15).flatten(1).int()
    delta = torch.where(high & 8 == 0, 0.125, -0.125)
    grid = _look(_grid("IQ1_M", blocks.device), qs.int() | (high & 7) << 8)
    values = (grid + delta[..., None]).reshape(-1, 16, 2, 8)
    return (scale[..., None, None] * values).flatten(1)


DECODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": q4_0, "Q4_1": q4_1, "Q5_0": q5_0, "Q5_1": q5_1, "Q8_0": q8_0, "Q2_K": q2_k, "Q3_K": q3_k, "Q4_K": q4_k,
    "Q5_K": q5_k, "Q6_K": q6_k, "TQ1_0": tq1_0, "TQ2_0": tq2_0, "MXFP4": mxfp4, "NVFP4": nvfp4, "IQ2_XXS": iq2_xxs,
    "IQ2_XS": iq2_xs, "IQ2_S": iq2_s, "IQ3_XXS": iq3_xxs, "IQ3_S": iq3_s, "IQ1_S": iq1_s, "IQ1_M": iq1_m,
    "IQ4_NL": iq4_nl, "IQ4_XS": iq4_xs,
}  # fmt: skip
"""Format → how its blocks are decoded. F32, F16, BF16, F64 and integers are plain tensors."""
