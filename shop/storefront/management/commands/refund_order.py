"""Refund an order, fully or in part, and report it to cashwrap: `manage.py refund_order 100001 --amount 20.00`."""

from decimal import Decimal

from django.core.management import BaseCommand, CommandError
from django.db import transaction
from oscar.core.loading import get_model

from storefront import events


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("number")
        parser.add_argument("--amount", type=Decimal)

    @transaction.atomic
    def handle(self, number, amount, **options):  # noqa: ARG002 - Django passes its own options
        order = get_model("order", "Order").objects.filter(number=number).first()
        source = order and order.sources.first()
        if source is None:
            raise CommandError(f"There is no paid order {number}.")
        left = source.amount_debited - source.amount_refunded
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            raise CommandError(f"At most {left} {order.currency} of order {number} can be refunded.")
        reference = f"{order.number}-{source.transactions.count() + 1}"
        source.refund(amount, reference)
        events.order_refunded(order, amount, reference)
        self.stdout.write(f"refunded {amount} {order.currency} of order {number}")
