"""Fill an empty shop: catalogue, pictures, customers, past orders, a coupon, the search index. Safe to repeat."""

from pathlib import Path

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import transaction
from oscar.core.loading import get_model
from seed.pictures import draw_all

from storefront import catalogue, seeding


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):  # noqa: ARG002 - Django passes its own options
        marker = Path(settings.DATA_DIR) / "seeded"
        digest = seeding.digest()
        if marker.exists() and marker.read_text() == digest:
            return
        draw_all(catalogue.seed()["products"], Path(settings.MEDIA_ROOT) / "products")
        with transaction.atomic():
            seeding.countries()
            seeding.catalogue_rows()
            seeding.coupon()
            seeding.customers()
        if not get_model("order", "Order").objects.exists():
            seeding.past_orders()
        call_command("rebuild_index", interactive=False, verbosity=0)
        marker.write_text(digest)
        self.stdout.write(f"seeded {len(catalogue.seed()['products'])} products")
