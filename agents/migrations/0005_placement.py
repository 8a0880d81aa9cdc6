from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agents', '0004_secrets'),
    ]

    operations = [
        migrations.AddField(
            model_name='node',
            name='bandwidth_bps',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='node',
            name='taints',
            field=models.JSONField(default=dict),
        ),
    ]
