from __future__ import annotations

from tests.live.conftest import witness

__all__ = ["witness"]
