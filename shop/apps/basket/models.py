from oscar.apps.basket.models import *  # noqa: F403 - Oscar's documented way to fork an app
