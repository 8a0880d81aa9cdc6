"""The `dispatch` step of a hook: the run's result goes to one more place, after the
steps before it (an archive, say) are done.

It only writes the Delivery row; sending, retries and dead letters are those of
`results`. Done once however often the step is gone through.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import DatabaseError, connection, transaction

from agents.agent_lifecycle_hooks import Budget, HookFailed, Place, Step, register
from agents.definition_results import place_of
from scheduling.models import Delivery, Run
from scheduling.result_dispatcher import happened_of, send_on_commit


def dispatch(step: Step, place: Place, budget: Budget) -> str:
    """Raises HookFailed where the row cannot be written."""
    now = datetime.now(UTC)  # noqa: TID251 - steps of hooks have no caller with a clock
    sink, target = place_of(step.options)
    try:
        with transaction.atomic():
            run = Run.objects.get(uid=place.uid)
            if step.options["on"] not in happened_of(run.state):
                return f"not on {run.state}"
            delivery, _ = Delivery.objects.get_or_create(
                run=run,
                sink=sink,
                target=target,
                defaults={"next_attempt_at": now, "created_at": now},
            )
            send_on_commit([delivery])
    except DatabaseError as down:
        raise HookFailed(f"cannot be written down: {down}") from None
    finally:
        connection.close()  # of this thread
    return f"on its way to a {sink}"


def install() -> None:
    register("dispatch", dispatch)
