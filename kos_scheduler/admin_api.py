"""The HTTP face of the installation: who am I, the configuration, tokens, OpenAPI."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from drf_spectacular.views import SpectacularYAMLAPIView
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import live_config
from agents.errors import Invalid
from agents.http import Query, fields_of, instant, iso, page, paginate
from kos_scheduler import about, fleet_file, tokens
from kos_scheduler.auth import actor_of, role_of
from kos_scheduler.config import ConfigError, parse_config
from kos_scheduler.models import ApiToken
from kos_scheduler.strict_json import StrictJSONParser
from kos_scheduler.strict_yaml import MAX_BYTES


class YAMLFile(BaseParser):
    """Hands over the bytes, bounded; the view reads them."""

    media_type = "application/yaml"

    def parse(
        self, stream: Any, media_type: Any = None, parser_context: Any = None
    ) -> Any:
        return stream.read(MAX_BYTES + 1)


class Me(APIView):
    """Who the caller is and what they may do."""

    def get(self, request: Request) -> Response:
        Query(request)
        _, _, name = actor_of(request).partition(":")
        zone = settings.TIME_ZONE
        return Response({"name": name, "role": role_of(request), "timezone": zone})


class Config(APIView):
    """The configuration in force. PATCH changes keys, and tells what it changed and
    what takes it back; ?dry_run=true only tells. PUT takes a whole YAML file."""

    parser_classes = [StrictJSONParser, YAMLFile]

    def get(self, request: Request) -> Response:
        Query(request)
        return Response(page(live_config.describe(), None))

    def patch(self, request: Request) -> Response:
        dry = Query(request, allowed=["dry_run"]).boolean("dry_run", False)
        changes = fields_of(request.data, allowed=live_config.keys())
        if not changes:
            raise Invalid("no key to change")
        if dry:
            told = live_config.preview(changes)
        else:
            actor = actor_of(request)
            told = live_config.set_overrides(changes, actor=actor, now=now())
        return Response({**page(live_config.describe(), None), "dry_run": dry, **told})

    def put(self, request: Request) -> Response:
        if not isinstance(request.data, bytes):
            raise Invalid("expected a whole configuration file, as application/yaml")
        try:
            wanted = parse_config(request.data, "the body").given
        except ConfigError as error:
            fields = {key: [said] for key, said in error.fields.items()}
            raise Invalid(str(error), fields) from None
        live_config.replace_overrides(wanted, actor=actor_of(request), now=now())
        return Response(page(live_config.describe(), None))


def shown(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "role": token.role,
        "created_at": iso(token.created_at),
        "created_by": token.created_by,
        "last_used_at": iso(token.last_used_at),
        "expires_at": iso(token.expires_at),
    }


class Tokens(APIView):
    """The live API tokens. The token itself is in the answer of POST, never again."""

    def get(self, request: Request) -> Response:
        query = Query(request)
        live = ApiToken.objects.filter(revoked_at=None)
        found, following = paginate(live, query, ["name", "id"])
        return Response(page([shown(t) for t in found], following))

    def post(self, request: Request) -> Response:
        allowed = ("name", "role", "expires_at")
        given = fields_of(request.data, allowed=allowed, required=("name",))
        ends = given.get("expires_at")
        token, text = tokens.issue(
            given["name"],
            given.get("role", "viewer"),
            actor=actor_of(request),
            now=now(),
            expires_at=None if ends is None else instant(ends, field="expires_at"),
        )
        return Response({**shown(token), "token": text}, status=201)


class Token(APIView):
    def delete(self, request: Request, pk: int) -> Response:
        tokens.revoke(pk, actor=actor_of(request), now=now())
        return Response(status=204)


class About(APIView):
    """GET about/: which version this is, and how its parts are."""

    def get(self, request: Request) -> Response:
        Query(request)
        return Response(about.told(now(), whole=role_of(request) == "admin"))


class Demo(APIView):
    """POST demo/: the demo fleet, into a registry that has no agent yet."""

    def post(self, request: Request) -> Response:
        fields_of(request.data, allowed=())
        loaded = fleet_file.load_demo(actor=actor_of(request), now=now())
        return Response(loaded, status=201)


class OpenAPI(SpectacularYAMLAPIView):
    """The contract, for programs that read it."""

    schema = None

    authentication_classes = APIView.authentication_classes
    permission_classes = APIView.permission_classes

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        Query(request)
        answered: HttpResponse = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        return answered


routes = [
    path("me/", Me.as_view()),
    path("config/", Config.as_view()),
    path("tokens/", Tokens.as_view()),
    path("tokens/<int:pk>/", Token.as_view()),
    path("about/", About.as_view()),
    path("demo/", Demo.as_view()),
    path("openapi.yaml", OpenAPI.as_view()),
]
