"""The shop's own table: events that must reach cashwrap, written in the same transaction as the order."""

from django.db import models


class OutboxEvent(models.Model):
    """An order or a refund on its way to cashwrap. `message_id` makes a second delivery harmless."""

    message_id = models.CharField(max_length=100, unique=True)
    body = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    sent = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.message_id
