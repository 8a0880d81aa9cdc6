"""Users' calendars in Django's admin: the same keys as the API, as one JSON text."""

from __future__ import annotations

from typing import Any

import orjson
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin is an entry point

from agents.admin import ByRole, ModelForm, actor, role
from agents.errors import KosError
from scheduling import calendars
from scheduling.calendar_models import Calendar


class CalendarForm(ModelForm):
    """Days as JSON, or the text of an .ics file or YAML in their place."""

    name = forms.CharField(max_length=63)
    title = forms.CharField(max_length=200, required=False)
    days = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80}),
        help_text='{"yearly": ["12-25"], "dates": ["2027-05-01"]}, .ics or YAML.',
    )

    class Meta:
        model = Calendar
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if row := self.instance if self.instance.pk else None:
            self.fields["name"].initial = row.name
            self.fields["name"].disabled = True
            self.fields["title"].initial = row.title
            text = orjson.dumps(
                calendars.as_sent(row.content), option=orjson.OPT_INDENT_2
            )
            self.fields["days"].initial = text.decode()

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if {"name", "days"} <= given.keys():
            try:
                calendars.check(raw_of(given), is_new=not self.instance.pk)
            except KosError as refusal:
                raise ValidationError(str(refusal)) from None
        return given


def raw_of(given: dict[str, Any]) -> dict[str, Any]:
    """The shape that the API takes."""
    raw = {"name": given["name"], "title": given["title"]}
    try:
        days = orjson.loads(given["days"])
    except orjson.JSONDecodeError:
        days = None
    if isinstance(days, dict):
        return {**days, **raw}
    return {**raw, "source": given["days"]}


@admin.register(Calendar)
class CalendarAdmin(ByRole):
    form = CalendarForm
    list_display = ("name", "title", "version", "changed_at", "changed_by")
    search_fields = ("name", "title")
    fields = ("name", "title", "days")
    ordering = ("name",)
    actions = ["remove"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return role(request) == "admin"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == "admin"

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        raw, by = raw_of(form.cleaned_data), actor(request)
        if change:
            saved = calendars.replace(obj.name, raw, actor=by, now=now())
        else:
            saved = calendars.create(raw, actor=by, now=now())
        obj.__dict__.update(saved.__dict__)

    @admin.action(description="Delete", permissions=["act"])
    def remove(self, request: HttpRequest, rows: QuerySet[Calendar]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: calendars.delete(row.name, actor=by, now=at),
            "deleted",
        )
