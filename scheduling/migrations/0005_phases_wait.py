from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0004_deliveries_out"),
    ]

    operations = [
        migrations.AlterField(
            model_name="phase",
            name="started_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="phase",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True)),
                fields=["run"],
                name="phase_open",
            ),
        ),
    ]
