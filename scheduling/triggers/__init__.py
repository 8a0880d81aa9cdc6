"""When schedules fire: pure values, no clock and no database.

cron_rule (local times) -> cron (a zone, DST); interval; run_at; timetable puts limits
and jitter around any of them; missed decides what a sleep leaves to do; words tells.
"""
