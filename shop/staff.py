#!/usr/bin/env python3
"""The people of the demo's console, one for each role: names to try, with a password that only this demo knows.

    python shop/staff.py --data .demo/engine

Prints the password. For a folder that holds a demo and nothing else: a real shop's owner gets a link from `serve`.
"""

import argparse
import random
from pathlib import Path

from msgspec.structs import replace

from cashwrap.console.people.passwords import Passwords
from cashwrap.console.people.people import People
from cashwrap.console.people.staff import Staff
from cashwrap.console.roles import Grant
from cashwrap.library import open_world

STAFF = {
    "olga": ("Olga Brandt", "admin"),
    "marek": ("Marek Lind", "marketer"),
    "anna": ("Anna Okafor", "analyst"),
    "paul": ("Paul Reyes", "privacy"),
    "vera": ("Vera Silva", "viewer"),
}
WORDS = "amber basket birch candle copper falcon garden harbour kettle lantern meadow pepper quiet river saddle velvet"


def password():
    """Return one that can be read out and typed."""
    draw = random.SystemRandom()
    return "-".join([*draw.sample(WORDS.split(), 3), str(draw.randint(1000, 9999))])


def hire(data, chosen):
    """Make whoever is missing, and give everybody this password."""
    with open_world(data) as world:
        people, staff, kept = People(world.registry), Staff(world), Passwords().hash(chosen)
        for name, (display, role) in STAFF.items():
            if people.find(name) is None:
                people.add(staff.newcomer(name, [Grant(role)], display))
            people.change(name, lambda person: replace(person, password=kept))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the engine's folder of a demo")
    chosen = password()
    hire(parser.parse_args().data, chosen)
    print(chosen)


if __name__ == "__main__":
    main()
