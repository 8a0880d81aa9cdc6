"""Calendar feeds and saved views over HTTP: each person's own."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, page, paginate
from scheduling import feeds, saved_views


class Feeds(APIView):
    """GET lists one's own; POST makes one, whose address is in that answer alone."""

    def get(self, request: Any) -> Response:
        own = feeds.of_owner(request.actor)
        found, cursor = paginate(own, Query(request), ["name", "id"])
        return Response(page([feeds.shape(one) for one in found], cursor))

    def post(self, request: Any) -> Response:
        feed, secret = feeds.create(request.data, actor=request.actor, now=now())
        url = request.build_absolute_uri(f"/ical/{secret}.ics")
        return Response({**feeds.shape(feed), "url": url}, 201)


class OneFeed(APIView):
    def delete(self, request: Any, pk: int) -> Response:
        owner = None if request.kos_role == "admin" else request.actor
        feeds.revoke(pk, owner=owner, actor=request.actor, now=now())
        return Response(status=204)


class Views(APIView):
    """One's own and those that others share."""

    def get(self, request: Any) -> Response:
        query = Query(request, allowed=["path"])
        seen = saved_views.seen_by(request.actor, query.text("path"))
        found, cursor = paginate(seen, query, ["name", "id"])
        shown = [saved_views.shape(one, request.actor) for one in found]
        return Response(page(shown, cursor))

    def post(self, request: Any) -> Response:
        made = saved_views.create(request.data, owner=request.actor, now=now())
        return Response(saved_views.shape(made, request.actor), 201)


class OneView(APIView):
    def patch(self, request: Any, pk: int) -> Response:
        changed = saved_views.change(pk, request.data, owner=request.actor, now=now())
        return Response(saved_views.shape(changed, request.actor))

    def delete(self, request: Any, pk: int) -> Response:
        saved_views.delete(pk, owner=request.actor)
        return Response(status=204)


routes = [
    path("feeds/", Feeds.as_view()),
    path("feeds/<int:pk>/", OneFeed.as_view()),
    path("views/", Views.as_view()),
    path("views/<int:pk>/", OneView.as_view()),
]
