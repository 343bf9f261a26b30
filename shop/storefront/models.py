"""The shop's own tables: what must reach cashwrap, written in the same transaction as the order, and offers held."""

from django.db import models
from django.utils import timezone
from oscar.core.loading import get_model

from .personalization import basket_hash


class OutboxEvent(models.Model):
    """An order or a refund on its way to cashwrap. `message_id` makes a second delivery harmless.

    With an `action` it is no event but a call of its own, such as `redeem`, and `message_id` its idempotency key.
    """

    message_id = models.CharField(max_length=100, unique=True)
    action = models.CharField(max_length=20, default="")
    body = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    sent = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.message_id


class HeldOffer(models.Model):
    """An offer that cashwrap holds for one basket, and the voucher that takes it off the price here."""

    HELD, ORDERED, LET_GO = "held", "ordered", "let_go"

    reservation = models.CharField(max_length=64, unique=True)
    offer = models.CharField(max_length=100)
    code = models.CharField(max_length=100, default="")  # what the shopper typed, if they did
    basket_id = models.IntegerField(db_index=True)
    cart = models.CharField(max_length=64)  # the hash of the cart it was worked out for
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    expires = models.DateTimeField(db_index=True)
    benefit = models.JSONField(default=dict)
    disclosure = models.CharField(max_length=500, default="")
    state = models.CharField(max_length=10, default=HELD)
    voucher = models.OneToOneField("voucher.Voucher", null=True, on_delete=models.SET_NULL, related_name="held")

    def fits(self, basket):
        """Return whether it still holds, and for this very basket."""
        in_time = self.state == self.HELD and timezone.now() < self.expires
        return in_time and self.basket_id == basket.id and self.cart == basket_hash(basket)

    def __str__(self):
        return f"{self.offer} {self.amount} {self.currency} ({self.state})"


class AsHeld(get_model("offer", "Condition")):
    """Oscar's condition for such a voucher: this basket, as it was when the offer was worked out, and in time.

    A basket that changed loses the discount at once, whatever else goes wrong.
    """

    name = description = "The basket it is held for"

    class Meta:
        proxy = True
        app_label = "offer"

    def is_satisfied(self, offer, basket):
        voucher = offer.get_voucher()
        held = HeldOffer.objects.filter(voucher=voucher).first() if voucher else None
        return held is not None and held.fits(basket)
