"""Passwords: what is one, and how one is kept (argon2id) without a flood of guesses eating the machine."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import ParamSpec, TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from cashwrap.errors import InvalidInput, TooMuch

SHORTEST, LONGEST = 12, 128
"""Characters of a password (NIST SP 800-63B, OWASP ASVS 2.1)."""
PARAMETERS = RFC_9106_LOW_MEMORY
"""64 MB and three passes (RFC 9106, section 4: where memory is scarce)."""
AT_ONCE = 2
"""Hashes made at the same time: each needs its 64 MB."""
WAITING = 32
"""Sign-ins that wait for their turn; more are sent away."""
_OURS = "cashwrap"
_TELLING = 4
"""Characters a part of a name needs to be looked for in a password."""
_VARIED = 5
"""Different characters a password has at least."""
_FIRST_TRIED = (
    "passwordpassword password12345 password1234 password123456 passw0rd1234 p@ssw0rd1234 mypassword123 changeme1234 "
    "changemenow1 changemeplease letmein12345 letmeinplease welcome12345 welcome123456 administrator administrator1 "
    "adminadminadmin admin1234567 admin12345678 administrator123 rootrootroot supersecret123 secretsecret topsecret123 "
    "123456789012 1234567890123 12345678901234 1234567890123456 012345678901 098765432109 0987654321098 "
    "111122223333 123123123123 121212121212 123412341234 112233445566 102030405060 q1w2e3r4t5y6 1q2w3e4r5t6y "
    "1qaz2wsx3edc 1qaz2wsx3edc4rfv qwertyuiop123 qwertyuiop12 qwertyuiop1234 qwertyqwerty qwerty123456 qwerty1234567 "
    "qwertzuiop123 qwertzuiop12 qazwsxedcrfv asdfghjkl123 asdfghjkl1234 zxcvbnm12345 abcdefghijkl abcdefghijklm "
    "abcd12345678 abc123456789 abcabcabcabc a1b2c3d4e5f6 aaaabbbbcccc iloveyou1234 iloveyou12345 iloveyouforever "
    "trustno1trustno1 footballfootball baseball1234 football1234 monkey123456 dragon123456 dragondragon sunshine1234 "
    "sunshine12345 princess1234 princess12345 superman1234 batman123456 starwars1234 michael12345 jennifer1234 "
    "correcthorsebatterystaple thisismypassword thisisapassword mypasswordis1 "
    "iloveyouiloveyou passwort1234 passwort12345 passwortpasswort geheimgeheim geheim123456 hallohallo123 "
    "schatzschatz willkommen123 willkommen1234 sommer202412 checkout1234 shopshopshop webshop12345 onlineshop123 "
    "onlineshop12 testtesttest test12345678 testpassword testpassword1 defaultpassword guestguestguest user12345678 "
    "login1234567 loginlogin123 computer1234 internet1234 samsung12345 liverpool123 manchester12 barcelona123 "
    "charlie12345 whatever1234 blink182blink pokemon12345 minecraft123 spiderman123 lovelovelove"
)
"""Of what is guessed first, what is long enough to be allowed otherwise."""
_COMMON = frozenset(_FIRST_TRIED.split())
P = ParamSpec("P")
T = TypeVar("T")


class Passwords:
    """Makes and checks hashes. ``run`` is the way in from a request: at most ``AT_ONCE`` at a time."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters or PARAMETERS)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="cashwrap-passwords")
        self._waiting = 0

    def hash(self, password: str) -> str:
        """As it is kept: parameters, salt and hash in one text."""
        return self._hasher.hash(_normal(password))

    def verify(self, kept: str, password: str) -> bool:
        """Whether it is this one. Takes as long where nothing is kept, so that nobody learns who has an account."""
        try:
            given = _normal(password[: 4 * LONGEST])  # what is longer is wrong, and not worth the time
            return self._hasher.verify(kept or self._nobodys, given) and bool(kept)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    async def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Do what hashes on a thread of its own. Raises ``TooMuch`` (``sign_in_busy``) where too many wait."""
        if self._waiting >= WAITING:
            raise TooMuch(
                "too many people sign in right now; try again in a moment", code="sign_in_busy", retry_after=5
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **named))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("the password of nobody")


def check_password(password: str, *names: str) -> None:
    """Refuse what is guessed first. ``names`` are what an attacker would try: the person's, for one.

    Raises ``InvalidInput`` (``password_too_short``, ``password_too_long``, ``password_too_easy``).
    """
    plain = _normal(password)
    if len(plain) < SHORTEST:
        message = f"A password has at least {SHORTEST} characters. Take several words."
        raise InvalidInput(message, code="password_too_short")
    if len(plain) > LONGEST:
        raise InvalidInput(f"A password has at most {LONGEST} characters.", code="password_too_long")
    lowered = plain.casefold()
    if lowered in _COMMON or len(set(lowered)) < _VARIED or _is_a_run(lowered):
        raise InvalidInput(
            "This password is one of the first that are tried. Take another one.", code="password_too_easy"
        )
    if any(part in lowered for part in _parts(_OURS, *names)):
        message = "A password must not contain your name or that of this program. Take another one."
        raise InvalidInput(message, code="password_too_easy")


def _normal(password: str) -> str:
    """One form for what looks the same (NIST SP 800-63B, 5.1.1.2), whichever keyboard it came from."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()


def _parts(*names: str) -> set[str]:
    """What of a name is looked for: all of it, and the part before the @."""
    found = {part for name in names for part in (name.casefold(), name.casefold().partition("@")[0])}
    return {part for part in found if len(part) >= _TELLING}


def _is_a_run(text: str) -> bool:
    """Whether each character follows on the one before: abcdefghijkl."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1
