"""A stream of numbers from a seed."""

_MASK = (1 << 64) - 1


class Dice:
    """A stream of 64-bit numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014).

    Not the standard library's, whose streams may differ between versions: a simulation is quoted by its seed.
    """

    def __init__(self, seed: int, *more: int) -> None:
        self._state = seed & _MASK
        for each in more:
            self._state = (self.draw() ^ each) & _MASK

    def draw(self) -> int:
        """The next number, 0 to 2^64 - 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """A number from 0 to ``limit - 1``, evenly but for 1 part in 2^64 / limit."""
        return self.draw() * limit >> 64

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)
