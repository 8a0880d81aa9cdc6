"""The pages the server renders itself: the app's shell, log-in and log-out."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth import views as auth_views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from agents import journal
from kos_scheduler import rates
from kos_scheduler.auth import ROLE_AT_LOGIN, role_of_user
from kos_scheduler.rates import Rate

# Ten guesses at one name, thirty from one address, in five minutes. The address is
# the connection's: a header a client may write is not evidence.
PER_USER = Rate("login-user", limit=10, window_s=300)
PER_ADDRESS = Rate("login-address", limit=30, window_s=300)


def app(request: HttpRequest, **page: str) -> HttpResponse:
    """The one template behind every page of the app; the browser does the rest."""
    response = render(request, "app.html")
    add_never_cache_headers(response)
    return response


class LoginView(auth_views.LoginView):
    """Django's, with a limit on wrong passwords and `next` kept to this site."""

    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wait_s = max(
            rates.wait_s(rate, who, now_s=time.monotonic())
            for rate, who in self.counted()
        )
        if wait_s:
            return self.too_many(wait_s)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        user = form.get_user()
        self.request.session[ROLE_AT_LOGIN] = role_of_user(user)
        for rate, who in self.counted():
            if rate is PER_USER:
                rates.forget(rate, who)
        self.tell("auth.login", user.get_username())
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        for rate, who in self.counted():
            rates.count(rate, who, now_s=time.monotonic())
        response = super().form_invalid(form)
        response.status_code = 401
        return response

    def counted(self) -> list[tuple[Rate, str]]:
        address = str(self.request.META.get("REMOTE_ADDR") or "local")
        user = self.request.POST.get("username", "").strip().casefold()
        return [(PER_USER, user), (PER_ADDRESS, address)]

    def too_many(self, wait_s: int) -> HttpResponse:
        form = self.get_form_class()(self.request)
        context = self.get_context_data(form=form, wait_s=wait_s)
        response = self.render_to_response(context, status=429)
        response["Retry-After"] = str(wait_s)
        return response

    def tell(self, kind: str, username: str) -> None:
        journal.record(
            kind,
            f"user:{username}",
            actor=f"user:{username}",
            at=timezone.now(),
            address=str(self.request.META.get("REMOTE_ADDR") or ""),
        )


class LogoutView(auth_views.LogoutView):
    """Django's: POST only, then back to the log-in."""

    next_page = "/login/"
    http_method_names = ["post", "options"]
