from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message_id", models.CharField(max_length=100, unique=True)),
                ("body", models.JSONField()),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("sent", models.DateTimeField(db_index=True, null=True)),
            ],
            options={"ordering": ["pk"]},
        ),
    ]
