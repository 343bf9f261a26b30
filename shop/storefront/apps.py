from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    name = "storefront"
    label = "storefront"
    verbose_name = "Storefront"

    def ready(self):
        from . import events, privacy

        events.connect()
        privacy.forget_views()
