"""An order: charge, wait two weeks for the delivery, refund if it does not come."""

from datetime import timedelta

from durable_core import Orchestration, OrchestrationContext, RetryPolicy, orchestrator

from activities.payments import Charge, charge, refund

RETRY = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=5))


@orchestrator
def order(ctx: OrchestrationContext, input: Charge) -> Orchestration[str]:
    receipt = yield from ctx.call_activity(charge, input, retry=RETRY)
    delivered = ctx.wait_for_external_event("Delivered")
    deadline = ctx.create_timer(timedelta(days=14))
    if (yield from ctx.task_any([delivered, deadline])) is deadline:
        yield from ctx.call_activity(refund, receipt, retry=RETRY)
        return "refunded"
    deadline.cancel()
    return "delivered"
