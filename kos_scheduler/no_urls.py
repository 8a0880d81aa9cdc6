"""The URLs of a process that serves none; it need not load what views need."""

from __future__ import annotations

urlpatterns: list[object] = []
