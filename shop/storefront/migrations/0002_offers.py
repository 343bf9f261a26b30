import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("storefront", "0001_initial"), ("voucher", "0001_initial")]
    operations = [
        migrations.AddField("outboxevent", "action", models.CharField(default="", max_length=20)),
        migrations.CreateModel(
            name="HeldOffer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reservation", models.CharField(max_length=64, unique=True)),
                ("offer", models.CharField(max_length=100)),
                ("code", models.CharField(default="", max_length=100)),
                ("basket_id", models.IntegerField(db_index=True)),
                ("cart", models.CharField(max_length=64)),
                ("amount", models.DecimalField(decimal_places=2, max_digits=12)),
                ("currency", models.CharField(max_length=3)),
                ("expires", models.DateTimeField(db_index=True)),
                ("benefit", models.JSONField(default=dict)),
                ("disclosure", models.CharField(default="", max_length=500)),
                ("state", models.CharField(default="held", max_length=10)),
                (
                    "voucher",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="held",
                        to="voucher.voucher",
                    ),
                ),
            ],
        ),
    ]
