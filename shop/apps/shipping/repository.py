from oscar.apps.shipping import repository

from .methods import Courier, Express, Pickup, Standard


class Repository(repository.Repository):
    """All four methods, everywhere. The order here is the shop's own default."""

    methods = (Standard(), Express(), Courier(), Pickup())
