"""Playbooks of any size for benchmarks: plausible conditions over 20 placements, the same for the same number."""

import random
from pathlib import Path

PLACEMENTS = 20
_SEGMENTS = """\
segments:
  high_value: spent > 500 && orders >= 3
  new_visitor: orders == 0 && sessions <= 1
  returning: sessions > 1
  coffee_lover: category_views["coffee"] >= 5
  mobile: device.type == "mobile"
  desktop: device.type == "desktop"
  german: language == "de"
  large_cart: cart.total > 150
  engaged: session.events >= 5
  buyer: orders >= 1
"""
_FEATURES = """\
shop: {currency: EUR, locale: en}
features:
  orders:          {count: Order Completed}
  spent:           {sum: Order Completed, of: subtotal}
  bought:          {count: Order Completed, by: product_id}
  coupons_tried:   {count: [Coupon Entered, Coupon Applied], window: 90d}
  category_views:  {count: Product Viewed, by: category, window: 30d}
  session_views:   {count: Product Viewed, session: true}
"""
"""The starter playbook's own features."""


def condition(rng: random.Random) -> str:
    """Two to four predicates; one in seven has an alternative."""
    pool = [
        lambda: f'device.type == "{rng.choice(["mobile", "desktop", "tablet"])}"',
        lambda: f"cart.total {rng.choice(['>', '<='])} {rng.randrange(10, 900)}",
        lambda: f"cart.count >= {rng.randrange(1, 12)}",
        lambda: f'location.country == "{rng.choice(["DE", "FR", "US", "GB", "NL", "AT", "PL", "ES"])}"',
        lambda: f'"{rng.choice(["high_value", "returning", "coffee_lover", "engaged", "buyer"])}" in segments',
        lambda: f'!("{rng.choice(["new_visitor", "large_cart", "german"])}" in segments)',
        lambda: f"category_views.total >= {rng.randrange(1, 60)}",
        lambda: f"spent > {rng.randrange(10, 2000)}",
        lambda: f'language in ["{rng.choice(["en", "de"])}", "{rng.choice(["fr", "nl", "pl"])}"]',
        lambda: f"time.hour >= {rng.randrange(0, 24)}",
        lambda: f'"{rng.choice(["coffee", "desk", "kitchen", "outdoor", "home"])}" in cart.categories',
        lambda: f"session_views > {rng.randrange(1, 30)}",
    ]
    parts = [rng.choice(pool)() for _ in range(rng.randrange(2, 5))]
    text = " && ".join(parts)
    return f"{text} || ({rng.choice(pool)()} && {rng.choice(pool)()})" if rng.random() < 0.15 else text


def write_playbook(folder: Path, experiences: int) -> None:
    """Write one with this many experiences."""
    rng = random.Random(experiences)
    folder.mkdir(parents=True)
    names = [f"spot_{number}" for number in range(PLACEMENTS)]
    (folder / "shop.yaml").write_text(
        _FEATURES + _SEGMENTS + "placements:\n" + "".join(f"  {name}: {{component: message}}\n" for name in names)
    )
    lines = ["experiences:\n"]
    for number in range(experiences):
        lines.append(f"  experience_{number}:\n    in: {names[number % PLACEMENTS]}\n    when: '{condition(rng)}'\n")
        lines.append(f'    show: {{text: {{en: "Message {number}: more for your cart."}}}}\n')
    (folder / "experiences.yaml").write_text("".join(lines))
