"""What is answered when no view did: JSON to programs, a plain page to people.

None of them says more than it must; a 500 is told in the log, never in the answer.
"""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from kos_scheduler.api_errors import answer, translated
from kos_scheduler.edge import MACHINE_PATHS


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer("invalid", "the request could not be understood")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(MACHINE_PATHS):
        return answer("forbidden", "not allowed")
    return render(request, "403.html", status=403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    if request.path.startswith(MACHINE_PATHS):
        return answer("forbidden", f"CSRF: {reason}")
    return render(request, "403.html", {"reason": reason}, status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(MACHINE_PATHS):
        return answer("not_found", "there is no such thing")
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """A fault of ours, or a database that is away (503, come back)."""
    error = sys.exc_info()[1]
    told = translated(error) if isinstance(error, Exception) else None
    if told is not None and told[0] == "unavailable":
        return answer(told[0], told[1])
    if request.path.startswith(MACHINE_PATHS):
        return answer("error", "something went wrong here; the log says what")
    return render(None, "500.html", status=500)
