"""Secrets in Django's admin: names and times to see, a value to write, none to read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin is an entry point

from agents import secret_store
from agents.admin import ByRole, ModelForm, actor, role
from agents.errors import KosError
from agents.models import Secret


class SecretForm(ModelForm):
    """The value is written and never shown again, not even half typed."""

    name = forms.CharField(max_length=64)
    value = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60, "autocomplete": "off"}),
        strip=False,
        help_text="Write it anew to change it. It is never shown.",
    )

    class Meta:
        model = Secret
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["name"].initial = self.instance.name
            self.fields["name"].disabled = True

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if {"name", "value"} <= given.keys():
            try:
                secret_store.check(given["name"], given["value"])
            except KosError as refusal:
                raise ValidationError(str(refusal)) from None
        return given


@admin.register(Secret)
class SecretAdmin(ByRole):
    form = SecretForm
    list_display = ("name", "changed_at", "changed_by", "last_used_at", "created_at")
    search_fields = ("name",)
    fields = ("name", "value")
    actions = ["remove"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return role(request) == "admin"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == "admin"

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        name = obj.name if change else form.cleaned_data["name"]
        by, value = actor(request), form.cleaned_data["value"]
        saved, _ = secret_store.put(name, value, actor=by, now=now())
        obj.__dict__.update(saved.__dict__)

    def render_change_form(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> Any:
        context = args[0] if args else kwargs["context"]
        form = context["adminform"].form
        if form.is_bound:  # a value that was refused is not sent back
            form.data = {**form.data.dict(), "value": ""}
        return super().render_change_form(request, *args, **kwargs)

    @admin.action(description="Delete those no agent names", permissions=["act"])
    def remove(self, request: HttpRequest, rows: QuerySet[Secret]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: secret_store.delete(row.name, actor=by, now=at),
            "deleted",
        )
