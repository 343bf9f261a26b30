"""Bring the database up to date: quickly when it is new, by Django's migrations when it is not."""

from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.test.utils import override_settings


def bring_up_to_date():
    """Make or migrate the tables.

    Oscar's whole history of migrations takes ten seconds and ends in the tables that its models describe. A new
    database gets these at once, with the history marked as done, so that later migrations start from the right place.
    """
    database = Path(settings.DATABASES["default"]["NAME"])
    if not database.exists() or database.stat().st_size == 0:
        with override_settings(MIGRATION_MODULES={app.label: None for app in apps.get_app_configs()}):
            call_command("migrate", run_syncdb=True, verbosity=0, interactive=False)
        call_command("migrate", fake=True, verbosity=0, interactive=False)
    call_command("migrate", verbosity=0, interactive=False)
