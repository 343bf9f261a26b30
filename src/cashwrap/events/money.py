"""Money from the wire to whole minor units, exactly.

Currencies and their number of minor digits follow ISO 4217 (list one, active codes). No float is ever made:
the decoder hands over fractions as the text they were written in.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from cashwrap.errors import InvalidEvent
from cashwrap.model import Minor

LARGEST: Minor = 10**13
"""An amount beyond this many minor units is a mistake, not money; it also leaves room for sums in 64 bits."""

_LONGEST = 40
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"
_DIGITS = {
    code: digits
    for digits, codes in ((0, _NO_DIGITS), (2, _TWO_DIGITS), (3, _THREE_DIGITS), (4, _FOUR_DIGITS))
    for code in codes.split()
}


def minor_digits(currency: str) -> int:
    """How many digits a currency's minor unit has: 2 for ``EUR``, 0 for ``JPY``.

    Raises ``InvalidEvent`` (``unknown_currency``) for anything that is not an active ISO 4217 code.
    """
    digits = _DIGITS.get(currency)
    if digits is None:
        raise InvalidEvent("The currency is not an ISO 4217 code; send one such as EUR.", code="unknown_currency")
    return digits


@lru_cache(maxsize=8192)
def to_minor(text: str, digits: int) -> Minor:
    """An amount in major units, as written, in minor units; surplus digits round half up.

    Rounding and not refusing, because a browser that adds 0.1 and 0.2 sends 0.30000000000000004. Raises
    ``InvalidEvent``: ``invalid_money`` for what is no finite amount, ``negative_money`` below zero.
    """
    try:
        amount = Decimal(text.strip()) if len(text) <= _LONGEST else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not -LARGEST <= amount <= LARGEST:  # abs() raises for an absurd exponent
        raise InvalidEvent("This is not an amount; send a number in major units such as 19.99.", code="invalid_money")
    return whole(int(amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP).scaleb(digits)))


def whole(minor: Minor) -> Minor:
    """Check an amount that is whole already. Raises as ``to_minor`` does."""
    if minor < 0:
        raise InvalidEvent("An amount cannot be below zero; send a refund as Order Refunded.", code="negative_money")
    if minor > LARGEST:
        raise InvalidEvent("The amount is absurdly large.", code="invalid_money")
    return minor
