# How far a node's log was read is kept for each of its executors.

import django.db.models.deletion
from django.db import migrations, models


def keep_what_was_read(apps, schema_editor):
    """The one log there was is that of the subprocess executor."""
    Node, NodeLog = apps.get_model("agents", "Node"), apps.get_model("agents", "NodeLog")
    NodeLog.objects.bulk_create(
        NodeLog(node=node, executor="subprocess", offset=node.log_offset)
        for node in Node.objects.all()
    )


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="NodeLog",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("executor", models.CharField(max_length=16)),
                ("offset", models.BigIntegerField(default=0)),
                (
                    "node",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="logs",
                        to="agents.node",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("node", "executor"), name="one_offset_per_log"
                    )
                ],
            },
        ),
        migrations.RunPython(keep_what_was_read, migrations.RunPython.noop),
        migrations.RemoveField(model_name="node", name="log_folder"),
        migrations.RemoveField(model_name="node", name="log_offset"),
        migrations.AddField(
            model_name="node",
            name="environments_missing",
            field=models.JSONField(default=dict),
        ),
    ]
