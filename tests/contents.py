"""The contents of declarations, compiled, for tests that make experiences without a folder."""

from cashwrap.content import Rendering, Shop, compile_content
from cashwrap.declarations import Declarations


def contents_of(declared: Declarations) -> dict[tuple[str, str], Rendering]:
    """By experience and variation. Raises ``ContentError`` at the first mistake."""
    shop = Shop(declared.settings)
    return {
        (each.name, name): compile_content(show, declared.placements[each.placement], shop)
        for each in declared.experiences.values()
        for name, show in each.variations.items()
    }
