"""Bots, the shop's own people, quality assurance, and senders faster than a person."""

import msgspec
import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.declarations import Settings
from cashwrap.events import RateWatch, truncated
from cashwrap.events.agent import Agent, read_agent
from cashwrap.events.traffic import is_bot, is_internal, networks
from cashwrap.model import Event, Flag
from events_cases import CHROME, NOW, kept, normaliser, run, track

BROWSERS = [
    (CHROME, Agent("desktop", "linux", "chrome")),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15",
        Agent("desktop", "macos", "safari"),
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0",
        Agent("desktop", "windows", "firefox"),
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
        Agent("desktop", "windows", "edge"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
        Agent("mobile", "android", "chrome"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-X900) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36",
        Agent("tablet", "android", "chrome"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
        Agent("mobile", "ios", "safari"),
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/130.0 Mobile/15E148 Safari/604.1",
        Agent("tablet", "ios", "chrome"),
    ),
    ("Mozilla/5.0 (SMART-TV; Tizen 6.0) AppleWebKit/537.36", Agent("other", "other", "other")),
]


@pytest.mark.parametrize(("text", "agent"), BROWSERS)
def test_browsers_are_people_with_a_device(text: str, agent: Agent) -> None:
    assert not is_bot(text)
    assert read_agent(text) == agent


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/534.34 PhantomJS/1.9.7",
        "curl/8.5.0",
        "python-requests/2.32",
        "facebookexternalhit/1.1",
        "Mozilla/5.0 (compatible; GPTBot/1.0)",
    ],
)
def test_bots_are_flagged(text: str | None) -> None:
    assert is_bot(text)
    assert kept(track(), user_agent=text).flags == Flag.BOT


def test_every_crawler_the_package_knows_is_flagged() -> None:
    examples = [text for entry in CRAWLER_USER_AGENTS_DATA for text in entry.get("instances", ())]
    assert len(examples) > 1_500
    missed = [text for text in examples if not is_bot(text) and is_crawler(text[:512])]
    assert missed == []
    assert sum(is_bot(text) for text in examples) > 0.99 * len(examples)


PIECES = ["Googlebot/", "bot", "curl/", "Mozilla/5.0", "Chrome/130", "(compatible;", "spider", "+http:", "Yeti"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES)))
def test_words_and_patterns_agree_with_the_package(words: list[str]) -> None:
    text = " ".join(words)
    assert is_bot(text) == (not text or is_crawler(text))


def test_a_flag_for_each_reason() -> None:
    house = normaliser(Settings(internal_networks=("203.0.113.0/24", "2001:db8::/32")))
    assert kept(track(), house).flags == 0
    assert kept(track(), house, qa=True).flags == Flag.QA
    assert kept(track(), house, ip="203.0.113.77").flags == Flag.INTERNAL
    assert kept(track(), house, ip="2001:db8::1", qa=True, user_agent="curl/8").flags == 7


def test_internal_networks() -> None:
    internal = networks(("203.0.113.0/24", "2001:db8::/32", "198.51.100.7"))
    for address in ("203.0.113.1", "2001:db8:1::1", "198.51.100.7", "::ffff:203.0.113.9"):
        assert is_internal(address, internal)
    for stranger in ("203.0.114.1", "2001:db9::1", "198.51.100.8", "nonsense", "", None):
        assert not is_internal(stranger, internal)


def test_addresses_are_cut_to_their_network() -> None:
    assert truncated("203.0.113.77") == "203.0.113.0/24"
    assert truncated("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert truncated("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert truncated("nonsense") is None
    assert truncated(None) is None


@settings(deadline=None)
@given(st.text(max_size=400))
def test_no_user_agent_crashes_or_is_slow(text: str) -> None:
    is_bot(text)
    read_agent(text)


# --- rate ---


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 20)), max_size=30))
def test_the_rate_is_close_to_an_exact_count(hits: list[tuple[int, int]]) -> None:
    """Never over below the limit within two windows; always over beyond it within one slot."""
    watch, limit, window = RateWatch(limit=50, window=10_000), 50, 10_000
    seen: list[tuple[int, int]] = []
    for now, count in sorted(hits):
        seen.append((now, count))
        over = watch.over("s", now, count)
        if sum(n for at, n in seen if at > now - 2 * window) <= limit:
            assert not over
        if sum(n for at, n in seen if at // window == now // window) > limit:
            assert over


def test_a_slow_sender_is_never_over_and_a_fast_one_recovers() -> None:
    watch = RateWatch(limit=10, window=1_000)
    assert not any(watch.over("slow", now) for now in range(0, 60_000, 200))
    assert [watch.over("fast", 0) for _ in range(12)] == [False] * 10 + [True] * 2
    assert not watch.over("other", 0)
    assert not watch.over("fast", 2_000)


def test_senders_are_forgotten_beyond_a_bound() -> None:
    watch = RateWatch(limit=1, window=1_000, senders=2)
    assert not watch.over("a", 0)
    for sender in ("b", "c"):
        watch.over(sender, 0)
    assert not watch.over("a", 0), "a was forgotten"
    assert watch.over("a", 0)


def test_a_flood_is_flagged_as_a_bot_and_neighbours_are_not() -> None:
    house = normaliser(rate=RateWatch(limit=5))
    calls = [track(messageId=f"m{number}") for number in range(6)] + [track(anonymousId="quiet"), track(anonymousId=7)]
    body = msgspec.json.encode({"batch": calls})
    events = [event for event in run(body, house) if isinstance(event, Event)]
    assert [event.flags for event in events] == [Flag.BOT] * 6 + [0, 0]
    assert [event.flags for event in run(body, house, trusted=True) if isinstance(event, Event)] == [0] * 8
    later = run(body, house, received=NOW + 600_000)
    assert [event.flags for event in later if isinstance(event, Event)] == [Flag.BOT] * 6 + [0, 0]
