from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    name = "storefront"
    label = "storefront"
    verbose_name = "Storefront"

    def ready(self):
        from . import events, privacy  # noqa: PLC0415 - needs the models

        events.connect()
        privacy.forget_views()
