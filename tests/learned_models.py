"""Models whose answers the test wrote, with the same questions as the true ones."""

from collections.abc import Mapping, Sequence

from cashwrap.model import Inputs, Suggested, Value

Chance = float | Exception | None


class Written:
    """Chances by name, and products by model, role and source. ``asked`` has every question; ``turn`` is the stamp."""

    def __init__(self, **chances: Chance) -> None:
        self.chances = chances
        self.category: str | None = None
        self.products: dict[tuple[str, str, str], Sequence[tuple[str, str]]] = {}
        self.asked: list[str] = []
        self.seen: list[Inputs] = []
        self.values: list[Mapping[str, Value]] = []
        self.turn = 1

    def version(self, model: str, version: str) -> str | None:
        known = {(name, "live") for name in self.chances} | {key[:2] for key in self.products}
        known |= {("next_category", "live")} if self.category else set()
        return "3" if (model, version) in known else None

    def predict(self, name: str, version: str, values: Mapping[str, Value]) -> float | None:
        self.asked.append(name)
        self.values.append(dict(values))
        chance = self.chances.get(name)
        if isinstance(chance, Exception):
            raise chance
        return chance

    def next_category(self, version: str, inputs: Inputs) -> str | None:
        self.asked.append("next_category")
        self.seen.append(inputs)
        return self.category

    def suggest(self, model: str, version: str, source: str, inputs: Inputs) -> Sequence[Suggested]:
        self.asked.append(f"{model}/{version}/{source}")
        self.seen.append(inputs)
        return [Suggested(*each) for each in self.products.get((model, version, source), ())]

    def stamp(self) -> object:
        return self.turn
