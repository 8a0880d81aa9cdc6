"""Marks in the name of a queue class, beside its needs: what else tells runs apart.

A run without any of it carries none, and costs no step anything. (`~`, of those with
requirements, stands in agents.requirements.) Pure.
"""

from __future__ import annotations

RANKED = "^"  # nodes of graphs: each has a rank of its own in the mode "dependency"
GROUPED = "+"  # fall under a concurrency group or a limit; the last part of a name
