"""The dated table of market rules: who is told what, from which day on, and that nobody is told nothing."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.declarations import Settings
from cashwrap.model import Disclosure
from cashwrap.offers import markets
from cashwrap.offers.markets import TABLE, MarketRules, rules_for
from cashwrap.playbook import examine

NEW_YORK = "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA."
EU = sorted(next(rule for rule in TABLE.rules if rule.id == "eu-crd-6-1-ea").countries)
SHOP = Settings()


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


NOW = at("2026-11-22")


@pytest.mark.parametrize("country", EU)
def test_the_union_is_told_that_a_price_is_personal(country: str) -> None:
    rules = rules_for(country, None, NOW, SHOP)
    assert (rules.no_personal_prices, rules.id) == (False, "eu-crd-6-1-ea")
    assert rules.disclosure is not None
    assert {"en", "de", "fr", "es", "it", "nl"} <= set(rules.disclosure)
    assert rules.link.startswith("https://eur-lex.europa.eu/")


def test_the_union_has_twenty_seven_countries() -> None:
    assert " ".join(EU) == "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"


@pytest.mark.parametrize("region", ["NY", "ny", "US-NY", "New York", " new york "])
@pytest.mark.parametrize("locale", ["en", "en-US", "es", "zh-Hant", ""])
def test_new_york_has_its_own_words_in_every_language(region: str, locale: str) -> None:
    rules = rules_for("US", region, NOW, SHOP)
    assert rules.said(locale, "de") == Disclosure("us-ny-gbl-349-a", NEW_YORK)


@pytest.mark.parametrize(
    ("country", "region", "day", "before", "after"),
    [
        ("US", "NY", "2025-11-10", "general", "us-ny-gbl-349-a"),
        ("DE", None, "2022-05-28", "general", "eu-crd-6-1-ea"),
        ("US", "MD", "2026-10-01", "general", "us-md-hb-895"),
        ("US", "Connecticut", "2026-10-01", "general", "us-ct-pa-26-64"),
    ],
)
def test_a_law_binds_from_its_day_on(country: str, region: str | None, day: str, before: str, after: str) -> None:
    assert rules_for(country, region, at(day) - 1, SHOP).id == before
    assert rules_for(country, region, at(day), SHOP).id == after


def test_a_law_that_ended_binds_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = tuple(msgspec.structs.replace(rule, until="2026-06-01") for rule in TABLE.rules)
    monkeypatch.setattr(markets, "TABLE", msgspec.structs.replace(TABLE, rules=ended))
    markets._rules_on.cache_clear()
    assert rules_for("DE", None, at("2026-06-01") - 1, SHOP).id == "eu-crd-6-1-ea"
    assert rules_for("DE", None, at("2026-06-01"), SHOP).id == "general"
    markets._rules_on.cache_clear()


@pytest.mark.parametrize("region", ["CO", "CA"])
def test_what_was_vetoed_or_never_was_does_not_bind(region: str) -> None:
    assert rules_for("US", region, NOW, SHOP).id == "general"


def test_a_bill_that_awaits_its_governor_is_listed_and_does_not_bind() -> None:
    assert "us-ny-ban" in {rule.id for rule in TABLE.rules if rule.status == "passed"}
    assert not rules_for("US", "NY", NOW, SHOP).no_personal_prices


def test_an_unknown_part_of_a_country_gets_the_strictest_of_it() -> None:
    for region in (None, "", "somewhere upstate"):
        assert rules_for("US", region, NOW, SHOP).no_personal_prices
    assert rules_for("US", None, at("2026-01-01"), SHOP).id == "us-ny-gbl-349-a"
    assert rules_for("DE", "Bayern", NOW, SHOP).id == "eu-crd-6-1-ea"


def test_an_unknown_part_of_a_country_is_one_where_the_shop_sells() -> None:
    assert rules_for("US", None, NOW, Settings(markets=("US-CA", "US-NY"))).id == "us-ny-gbl-349-a"
    assert rules_for("US", None, NOW, Settings(markets=("US-CA",))).id == "general"
    assert rules_for("US", None, NOW, Settings(markets=("US-CA", "US"))).no_personal_prices


@pytest.mark.parametrize("country", [None, "", "Germany", "??"])
def test_an_unknown_market_is_the_strictest_of_the_shop_s_own(country: str | None) -> None:
    assert rules_for(country, None, NOW, Settings(markets=("DE",))).id == "eu-crd-6-1-ea"
    assert rules_for(country, None, NOW, Settings(markets=("DE", "US-NY"))).id == "us-ny-gbl-349-a"
    assert rules_for(country, None, NOW, Settings(markets=("DE", "US-MD"))).no_personal_prices
    assert rules_for(country, None, NOW, Settings(markets=("DE", "US"))).no_personal_prices
    assert rules_for(country, None, NOW, SHOP).id == "general"


def test_a_shop_may_be_stricter_without_a_reason() -> None:
    shop = Settings(no_personal_prices=("FR", "US-TX"))
    assert rules_for("FR", None, NOW, shop) == MarketRules(
        no_personal_prices=True, disclosure=None, id="playbook", link=""
    )
    assert rules_for("US", "TX", NOW, shop).id == "playbook"
    assert rules_for("US", None, NOW, Settings(no_personal_prices=("US-TX",))).no_personal_prices
    assert rules_for("DE", None, NOW, shop).id == "eu-crd-6-1-ea"
    assert rules_for("US", "CA", NOW, Settings(no_personal_prices=("US",))).no_personal_prices


def test_a_shop_may_be_less_strict_and_says_why() -> None:
    shop = Settings(personal_prices={"US-MD": "No food is sold here."})
    assert rules_for("US", "MD", NOW, shop).id == "general"
    assert rules_for("US", "CT", NOW, shop).no_personal_prices
    both = Settings(personal_prices={"US-MD": "No food."}, no_personal_prices=("US-MD",))
    assert rules_for("US", "MD", NOW, both).id == "playbook"


def test_an_override_takes_no_disclosure_away() -> None:
    assert rules_for("US", "NY", NOW, Settings(personal_prices={"US": "why not"})).id == "us-ny-gbl-349-a"


@given(
    st.one_of(st.none(), st.sampled_from(["DE", "US", "CH", "de", "x"]), st.text(max_size=4)),
    st.one_of(st.none(), st.sampled_from(["NY", "MD", "New York", "CA"]), st.text(max_size=8)),
    st.integers(0, at("2040-01-01")),
    st.text(max_size=6),
    st.lists(st.sampled_from(["DE", "US", "US-NY", "US-MD", "CH"]), max_size=3),
)
def test_nobody_is_told_nothing(country: str | None, region: str | None, now: int, locale: str, own: list[str]) -> None:
    rules = rules_for(country, region, now, Settings(markets=tuple(own)))
    said = rules.said(locale, "fr")
    assert (said is None) == rules.no_personal_prices
    assert said is None or (said.text.strip() and said.id == rules.id)


def test_a_language_falls_back() -> None:
    rules = rules_for("DE", None, NOW, SHOP)

    def said(locale: str, fallback: str = "en") -> str:
        found = rules.said(locale, fallback)
        assert found is not None
        return found.text

    assert said("de-AT") == said("de") != said("en")
    assert said("pl", "de-DE") == said("de")
    assert said("pl", "cs") == said("en")


def test_every_entry_can_be_looked_up() -> None:
    assert len({rule.id for rule in TABLE.rules}) == len(TABLE.rules)
    for rule in TABLE.rules:
        assert rule.link.startswith("https://")
        assert len(rule.note) > 40
        assert bool(rule.texts) == (rule.rule == "disclosure")
        assert (rule.status == "in force") == (rule.start is not None)
        assert all(text.strip() for text in rule.texts.values())
    assert all(TABLE.general.texts.values())
    assert datetime.fromisoformat(TABLE.as_of)


# --- the shop's word, as a playbook has it ---


def test_a_playbook_says_where_the_shop_sells_and_why_it_is_less_strict() -> None:
    text = """
shop:
  markets: [DE, US-NY]
  no_personal_prices: FR
  personal_prices: {US-MD: "No food is sold here."}
"""
    playbook, faults = examine({"shop.yaml": text})
    assert playbook is not None, faults
    settings = playbook.settings
    assert settings.markets == ("DE", "US-NY")
    assert settings.no_personal_prices == ("FR",)
    assert settings.personal_prices == {"US-MD": "No food is sold here."}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("markets: [Germany]", "'Germany' is not a market"),
        ("no_personal_prices: [us-ny]", "'us-ny' is not a market"),
        ("personal_prices: {NY: why}", None),
        ('personal_prices: {US-MD: " "}', "write why personal prices are allowed in US-MD"),
        ("personal_prices: {Maryland: why}", "'Maryland' is not a market"),
        ("personal_prices: [US-MD]", "personal_prices is written as"),
    ],
)
def test_a_mistake_is_told(line: str, says: str | None) -> None:
    _, faults = examine({"shop.yaml": f"shop:\n  {line}\n"})
    assert [says for fault in faults if says and says in fault.message] == ([says] if says else [])
