"""The registry in Django's admin: all of it to see, and agents to define as JSON.

Whatever is changed here goes through agent_registry, as from everywhere else. With
django-unfold installed pages wear its look; without it they are Django's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.timezone import now

from agents import agent_registry
from agents.allowed import check, configured_rules, may_unsandboxed
from agents.errors import KosError
from agents.models import Agent, AgentVersion, Event, Node
from agents.priority import Priority
from agents.registration import definition_of

if TYPE_CHECKING:

    class ModelAdmin(admin.ModelAdmin[Any]):
        pass

    class TabularInline(admin.TabularInline[Any, Any]):
        pass

    class ModelForm(forms.ModelForm[Any]):
        pass

elif apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin, TabularInline
else:
    from django.contrib.admin import ModelAdmin, TabularInline

if not TYPE_CHECKING:
    from django.forms import ModelForm

EXAMPLE = {
    "agent_id": "prompt_optimizer",
    "exec_env": "docker",
    "entry_point": "/app/start.sh",
    "priority": "high",
    "cpu": 2,
    "memory": "4GB",
}


def actor(request: HttpRequest) -> str:
    return str(getattr(request, "actor", f"user:{request.user.get_username()}"))


def role(request: HttpRequest) -> str:
    """The role the gate found; Django's own flag where there is no gate."""
    by_flag = "admin" if request.user.is_superuser else ""
    return str(getattr(request, "kos_role", by_flag))


def rights(request: HttpRequest) -> dict[str, Any]:
    held = role(request)
    return {
        "may_unsandboxed": may_unsandboxed(held),
        "rules": configured_rules(is_admin=held == "admin"),
    }


def pretty(value: object) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap">{}</pre>', text)


class ByRole(ModelAdmin):
    """The role admin sees everything; nobody adds, changes or deletes rows directly."""

    show_full_result_count = False  # counting a million rows to show one page

    def has_module_permission(self, request: HttpRequest) -> bool:
        return role(request) == "admin"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == "admin"

    def has_act_permission(self, request: HttpRequest) -> bool:
        return role(request) == "admin"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def for_each(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        act: Callable[[Any], object],
        done: str,
    ) -> None:
        """Do it to each row; tell how many, and each refusal."""
        count = 0
        for row in rows:
            try:
                act(row)
                count += 1
            except KosError as refusal:
                self.message_user(request, f"{row}: {refusal}", messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}", messages.SUCCESS)


class AgentForm(ModelForm):
    """One field: the definition as the API takes it."""

    allowed: dict[str, Any]  # what the signed-in person may define

    definition = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 24, "cols": 90, "spellcheck": "false"}),
        help_text="JSON, as POST /api/v1/agents/ takes it. Each change is a version.",
    )

    class Meta:
        model = Agent
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "definition" not in self.fields:
            return  # a retired agent's page only shows it
        shown = EXAMPLE
        if self.instance.current_id:
            shown = definition_of(self.instance.spec)
            shown["enabled"] = self.instance.enabled
        self.fields["definition"].initial = json.dumps(shown, indent=2)

    def clean_definition(self) -> dict[str, Any]:
        """The registration, checked in full; each fault on a line of its own."""
        raw = parsed(self.cleaned_data["definition"])
        try:
            spec = check(raw, **self.allowed)
        except KosError as refusal:
            lines = [f"{k}: {t}" for k, said in refusal.fields.items() for t in said]
            raise ValidationError(lines or [str(refusal)]) from None
        agent_id, own = spec["agent_id"], self.instance.agent_id
        if own and agent_id != own:
            raise ValidationError(f"agent_id: cannot change; this one is {own}")
        taken = Agent.objects.filter(agent_id__iexact=agent_id, retired_at=None)
        if not own and taken.exists():
            raise ValidationError(f"agent_id: {agent_id} is registered already")
        return raw


def parsed(text: str) -> dict[str, Any]:
    """The object in the text, each key once. Raises ValidationError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValidationError(f"{key} is there twice")
            found[key] = value
        return found

    try:
        raw = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        said = f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        raise ValidationError(said) from None
    except (RecursionError, ValueError):
        raise ValidationError("not JSON that can be read") from None
    if not isinstance(raw, dict):
        raise ValidationError('expected an object: {"agent_id": …}')
    return raw


class ReadOnlyInline(TabularInline):
    """Rows that belong to another and are only shown with it, to everybody."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(role(request))


class Versions(ReadOnlyInline):
    model = AgentVersion
    fields = readonly_fields = ("number", "created_at", "created_by", "note", "content")

    @admin.display(description="definition")
    def content(self, version: AgentVersion) -> str:
        return pretty(definition_of(version.spec))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role(request) == "admin"


class InUse(admin.SimpleListFilter):
    title = "in use"
    parameter_name = "in_use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("retired", "retired"), ("all", "all")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return rows
        return rows.filter(retired_at__isnull=self.value() != "retired")


@admin.register(Agent)
class AgentAdmin(ByRole):
    form = AgentForm
    inlines = [Versions]
    list_display = (
        *("agent_id", "kind", "exec_env", "priority_word", "version", "enabled"),
        *("held", "updated_at"),
    )
    list_filter = (InUse, "kind", "exec_env", "priority", "enabled")
    search_fields = ("agent_id", "capabilities", "tags")
    list_select_related = ("current",)
    fields = ("definition", "created_at", "updated_at", "retired_at")
    readonly_fields = ("created_at", "updated_at", "retired_at")
    actions = ["enable", "disable", "retire"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return role(request) == "admin"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_retired = obj is not None and obj.retired_at is not None
        return role(request) == "admin" and not is_retired

    @admin.display(description="priority", ordering="priority")
    def priority_word(self, agent: Agent) -> str:
        return Priority(agent.priority).word

    @admin.display(description="version")
    def version(self, agent: Agent) -> int | None:
        return agent.current.number if agent.current else None

    @admin.display(description="definition")
    def definition(self, agent: Agent) -> str:
        """Shown where the form is not: for a retired agent."""
        return pretty(definition_of(agent.spec))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.allowed = rights(request)
        return form

    def get_readonly_fields(
        self, request: HttpRequest, obj: Any = None
    ) -> tuple[str, ...]:
        usual = tuple(super().get_readonly_fields(request, obj))
        is_form = obj is None or self.has_change_permission(request, obj)
        return usual if is_form else ("definition", *usual)

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        by = {"actor": actor(request), "now": now(), **rights(request)}
        raw = form.cleaned_data["definition"]
        if change:
            saved = agent_registry.replace(obj, raw, **by)
        else:
            saved = agent_registry.register(raw, **by)
        obj.__dict__.update(saved.__dict__)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except KosError as refusal:  # somebody was faster than the form's own check
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @admin.action(description="Enable", permissions=["act"])
    def enable(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        self._set_enabled(request, rows, True, "enabled")

    @admin.action(description="Disable", permissions=["act"])
    def disable(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        self._set_enabled(request, rows, False, "disabled")

    def _set_enabled(
        self, request: HttpRequest, rows: QuerySet[Agent], enabled: bool, done: str
    ) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.filter(retired_at__isnull=True),
            lambda a: agent_registry.set_enabled(a, enabled, actor=by, now=at),
            done,
        )

    @admin.action(description="Retire (history stays)", permissions=["act"])
    def retire(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda a: agent_registry.retire(a, actor=by, now=at),
            "retired",
        )


@admin.register(Node)
class NodeAdmin(ByRole):
    list_display = (
        *("name", "state", "cordoned", "draining", "cpu_millis", "memory_bytes"),
        *("gpus", "heartbeat_at"),
    )
    list_filter = ("state", "cordoned")
    search_fields = ("name",)


class About(admin.SimpleListFilter):
    title = "about"
    parameter_name = "about"
    SUBJECTS = ("agent", "schedule", "occurrence", "run", "node", "config", "auth")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(subject, subject) for subject in self.SUBJECTS]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.SUBJECTS:
            return rows
        return rows.filter(kind__startswith=f"{self.value()}.")


@admin.register(Event)
class EventAdmin(ByRole):
    list_display = ("id", "at", "kind", "subject", "actor", "seq")
    list_filter = (About,)
    search_fields = ("subject", "actor", "kind")
    ordering = ("-id",)
    fields = ("at", "kind", "subject", "actor", "seq", "content")
    readonly_fields = ("content",)

    @admin.display(description="data")
    def content(self, event: Event) -> str:
        return pretty(event.data)
