from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("scheduling", "0011_queue"),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='gang',
            field=models.CharField(blank=True, db_default='', default='', max_length=32),
        ),
    ]
