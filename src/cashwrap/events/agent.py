"""A user agent reduced to three words (device, system, browser); its text is never kept.

Words only: a version or a model would tell shoppers apart, and no segment needs it.
"""

from functools import lru_cache
from typing import NamedTuple

_READ = 512


class Agent(NamedTuple):
    """``device`` is ``mobile``, ``tablet``, ``desktop`` or ``other``; ``None`` is unknown."""

    device: str | None = None
    os: str | None = None
    browser: str | None = None


_SYSTEMS = (
    ("iphone", "ios"),
    ("ipad", "ios"),
    ("ipod", "ios"),
    ("android", "android"),
    ("windows", "windows"),
    ("cros ", "chromeos"),
    ("mac os", "macos"),
    ("macintosh", "macos"),
    ("linux", "linux"),
)
_BROWSERS = (
    ("edg/", "edge"),
    ("edga/", "edge"),
    ("edgios/", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser/", "samsung"),
    ("firefox/", "firefox"),
    ("fxios/", "firefox"),
    ("crios/", "chrome"),
    ("chrome/", "chrome"),
    ("chromium/", "chrome"),
    ("safari/", "safari"),
)
"""First match wins: most browsers also name the ones they descend from."""


@lru_cache(maxsize=2048)
def _reduce(text: str) -> Agent:
    system = next((word for mark, word in _SYSTEMS if mark in text), "other")
    browser = next((word for mark, word in _BROWSERS if mark in text), "other")
    return Agent(_device(text, system), system, browser)


def _device(text: str, system: str) -> str:
    if "ipad" in text or "tablet" in text or (system == "android" and "mobi" not in text):
        return "tablet"
    if "mobi" in text or "iphone" in text or "ipod" in text:
        return "mobile"
    return "other" if system == "other" else "desktop"


def read_agent(user_agent: str | None) -> Agent:
    """What a user agent header says about the device; nothing where there is none."""
    return _reduce(user_agent[:_READ].lower()) if user_agent else Agent()
