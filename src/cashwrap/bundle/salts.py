"""Salts as the state that hashing them leaves behind: the same numbers come out, and nobody reads the name. Pure."""

Prefix = tuple[int, int, int]
"""A text as MurmurHash3 leaves it: the state, how many bytes it had, and the bytes that fill no block of four."""


def prefix(text: str) -> Prefix:
    """The state of MurmurHash3 x86_32 (seed 0) after a text, from which any hash that begins with it goes on."""
    encoded = text.encode()
    whole = len(encoded) & ~3
    state = 0
    for at in range(0, whole, 4):
        state ^= _mix(int.from_bytes(encoded[at : at + 4], "little"))
        state = (_turn(state, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    return state, len(encoded), int.from_bytes(encoded[whole:], "little")


def _mix(block: int) -> int:
    return _turn(block * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF


def _turn(number: int, bits: int) -> int:
    return (number << bits | number >> 32 - bits) & 0xFFFFFFFF
