"""Simulated shoppers with known effects: who they are, what they do, and exactly how a decision changes it.

A simulation is a stream of requests in the order of their times. Whoever plays it answers the decisions; what a
shopper does next depends on that answer, by effects that are written down. So what an experiment finds can be compared
with what is true. Over HTTP::

    for step in simulate(seed=7, shoppers=1000):
        step.answer = post(step.path, step.body, step.headers, secret=step.trusted)

In process, weeks in seconds, with experiences whose effects are yours, and then the truth about one of them::

    world = World(effects=(Effect("bold", "checkout_button", lift=20, experience="bold_button"),))
    with opened(playbook, world) as engine:
        played = play(engine, simulate(7, 1000, world))
    truth(played.exposed("bold_button"), {"bold"}, played.beside)

Everything follows from the seed: the same seed and the same answers give the same bytes. Each shopper has dice of their
own, and what they would do is drawn before they start, so that one answer changes one shopper, and only by its effect.
"""

from cashwrap.testing.shoppers.dice import Dice
from cashwrap.testing.shoppers.people import (
    BASKET_WAITED,
    BOT,
    DESKTOP,
    EXPRESS_FIRST,
    FAVOURITES,
    IPHONE,
    ITEMS,
    OPEN_CODE_FIELD,
    PERSONAS,
    TABLET,
    WALLETS_FIRST,
    Effect,
    Item,
    Outcome,
    Persona,
    Shopper,
    Visit,
    World,
    shopper,
)
from cashwrap.testing.shoppers.play import Played, VirtualClock, opened, play
from cashwrap.testing.shoppers.truth import Beside, Means, Truth, means, nothing, told, truth
from cashwrap.testing.shoppers.visits import Step, simulate

__all__ = [
    "BASKET_WAITED",
    "BOT",
    "DESKTOP",
    "EXPRESS_FIRST",
    "FAVOURITES",
    "IPHONE",
    "ITEMS",
    "OPEN_CODE_FIELD",
    "PERSONAS",
    "TABLET",
    "WALLETS_FIRST",
    "Beside",
    "Dice",
    "Effect",
    "Item",
    "Means",
    "Outcome",
    "Persona",
    "Played",
    "Shopper",
    "Step",
    "Truth",
    "VirtualClock",
    "Visit",
    "World",
    "means",
    "nothing",
    "opened",
    "play",
    "shopper",
    "simulate",
    "told",
    "truth",
]
