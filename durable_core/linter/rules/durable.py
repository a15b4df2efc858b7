"""Rules about the use of the durable API: DC4xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_THE_API = (
    Rule(
        code="DC401",
        name="a task that the orchestrator does not wait for",
        what="A task in a statement of its own, in a variable or a list that is never read, or as the result of an "
        "orchestrator; `with ctx.lock(...)` and `with ctx.slot(...)` without a wait. Also a generator or coroutine of "
        "yours, or a saga's `compensate()`, that is called without `yield from` and not given to anything.",
        why="The orchestrator continues, and may end, before the task ends, and it does not see when the task fails. "
        "A generator that is called without `yield from` does not run at all.",
        instead="`yield from`. To run a generator side by side with other code: `ctx.gather` or `ctx.branch`. "
        "To start work without waiting for it: `ctx.start_orchestration`, or `_ = ctx.call_activity(...)`, "
        "which shows that it is intended.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, "paid")
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, "paid")
""",
    ),
    Rule(
        code="DC402",
        name="yields a value that is not a task",
        what="`yield` of a list, a constant or a generator; `yield from` a list.",
        why="An orchestrator can only wait for tasks. Any other value makes the instance fail.",
        instead="`ctx.task_all(...)`, `ctx.task_any(...)`; for a generator of yours, `yield from`.",
        wrong="""\
@orchestrator
def both(ctx):
    yield [ctx.call_activity(store, 1), ctx.call_activity(store, 2)]
""",
        right="""\
@orchestrator
def both(ctx):
    yield ctx.task_all([ctx.call_activity(store, 1), ctx.call_activity(store, 2)])
""",
    ),
    Rule(
        code="DC403",
        name="an activity called as a function",
        what="A function marked `@activity` that orchestrator code calls directly.",
        why="The activity runs inside the orchestrator, and again at every replay. Its result is not in the history, "
        "and it has no retries.",
        instead="`yield from ctx.call_activity(charge, amount)`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    receipt = charge(amount)
    yield from ctx.call_activity(send_mail, receipt)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    receipt = yield from ctx.call_activity(charge, amount)
    yield from ctx.call_activity(send_mail, receipt)
""",
    ),
    Rule(
        code="DC404",
        name="catches more than failures",
        what="Around a wait: a bare `except:` or `except BaseException:` without a `raise`; `except Exception: "
        "pass`; `suppress(Exception)`.",
        why="Such code also catches the errors by which the runtime ends an orchestrator: `TaskCancelledError`, and "
        "`GeneratorExit` when the host drops its generator.",
        instead="`except TaskFailedError:` or a subclass of it, or `raise` at the end of the handler.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    try:
        yield from ctx.call_activity(charge, amount)
    except Exception:
        pass
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    try:
        yield from ctx.call_activity(charge, amount)
    except ActivityFailedError as error:
        ctx.set_custom_status(error.failure.message)
""",
    ),
    Rule(
        code="DC405",
        name="the orchestrator's context in an activity or a step",
        what="`ctx` passed to an activity or a step (`ctx.run`), or used inside one; an activity with a parameter of "
        "type `OrchestrationContext`.",
        why="Activities run in other processes, and steps do not run at a replay. The history would not contain the "
        "decisions that they make.",
        instead="Pass the values that they need, such as `ctx.instance_id` or `ctx.current_utc_datetime`. The "
        "context of an activity is `ActivityContext`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.run("charge", lambda: charge_card(ctx.new_uuid(), amount))
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    reference = ctx.new_uuid()
    yield from ctx.run("charge", lambda: charge_card(reference, amount))
""",
    ),
    Rule(
        code="DC406",
        name="a loop that never waits",
        what="`while True` that contains no wait, `return`, `break` or `raise`; a loop whose body does nothing until "
        "its condition changes.",
        why="No variable of the orchestrator can change while its code does not wait: the loop blocks the host for "
        "ever.",
        instead="`yield from ctx.wait_condition(lambda: ...)`, or a timer within the loop.",
        wrong="""\
@orchestrator
def gate(ctx):
    opened: list[str] = []
    ctx.on_event("Open", opened.append)
    while not opened:
        pass
    yield from ctx.call_activity(send_mail, opened[0])
""",
        right="""\
@orchestrator
def gate(ctx):
    opened: list[str] = []
    ctx.on_event("Open", opened.append)
    yield from ctx.wait_condition(lambda: opened)
    yield from ctx.call_activity(send_mail, opened[0])
""",
    ),
    Rule(
        code="DC407",
        name="a query or condition that changes something",
        what="A query handler, the validator of an update, or the predicate of `wait_condition`, that creates tasks, "
        "sets the status, sends events, or changes variables of the orchestrator.",
        why="The runtime calls query handlers between turns, validators at no replay, and predicates any number of "
        "times. The history does not contain what they change.",
        instead="Only read variables there. A handler of `ctx.on_event` or of an update may change variables.",
        wrong="""\
@orchestrator
def backup(ctx):
    asked = 0

    def progress():
        nonlocal asked
        asked += 1
        return asked

    ctx.set_query_handler("progress", progress)
    yield from ctx.call_activity(copy_table)
""",
        right="""\
@orchestrator
def backup(ctx):
    done = 0

    def progress():
        return done

    ctx.set_query_handler("progress", progress)
    yield from ctx.call_activity(copy_table)
    done += 1
""",
    ),
    Rule(
        code="DC408",
        name="a decision that depends on ctx.is_replaying",
        what="A wait or a call in a branch whose condition contains `ctx.is_replaying`.",
        why="The first run takes one branch and every replay the other one, so the code never matches the history.",
        instead="Remove the condition: during a replay a call returns its recorded result and does not run again. "
        "For log lines, use `ctx.logger`.",
        wrong="""\
@orchestrator
def order(ctx, amount: int):
    if not ctx.is_replaying:
        yield from ctx.call_activity(send_mail, "started")
    yield from ctx.call_activity(charge, amount)
""",
        right="""\
@orchestrator
def order(ctx, amount: int):
    yield from ctx.call_activity(send_mail, "started")
    yield from ctx.call_activity(charge, amount)
""",
    ),
    Rule(
        code="DC409",
        name="a call of a function that no host runs",
        what="`ctx.call_activity` with a function that is not marked `@activity`; `ctx.call_sub_orchestrator` or "
        "`ctx.start_orchestration` with one that is not marked `@orchestrator`.",
        why="A host runs only what is registered. The call fails at its line.",
        instead="Mark the function. A function that only this orchestrator needs can be a step: `ctx.run`.",
        wrong="""\
@orchestrator
def survey(ctx):
    yield from ctx.call_activity(measure, "north")
""",
        right="""\
@orchestrator
def survey(ctx):
    yield from ctx.run("measure", measure, "north")
""",
    ),
    Rule(
        code="DC410",
        name="a branch that is given wrongly",
        what="A single generator or coroutine where `task_all`, `task_any` or `as_completed` take a list; a list where "
        "`gather`, `branch` or `with_timeout` take each branch by itself; a function that is not called; one generator "
        "several times.",
        why="`task_all` goes through the tasks of a single generator, whose code never gets a result. The other calls "
        "fail at their line. A generator runs once.",
        instead="`ctx.task_all([book(ctx, seat) for seat in seats])`, `ctx.gather(book(ctx, 1), book(ctx, 2))`.",
        wrong="""\
def pay(ctx, amount: int):
    receipt = yield from ctx.call_activity(charge, amount)
    return receipt


@orchestrator
def order(ctx, amount: int):
    yield from ctx.task_all(pay(ctx, amount))
""",
        right="""\
def pay(ctx, amount: int):
    receipt = yield from ctx.call_activity(charge, amount)
    return receipt


@orchestrator
def order(ctx, amount: int):
    yield from ctx.task_all([pay(ctx, amount), pay(ctx, 1)])
""",
    ),
    Rule(
        code="DC411",
        name="reads a loop's variable when the loop has gone on",
        what="A function of the orchestrator's that a loop or a comprehension gives to `ctx.run`, "
        "`ctx.wait_condition` or `ctx.branch`, without waiting for it there, and that reads a variable which the loop "
        "changes.",
        why="Such code runs, or runs on, when the loop has ended. All of it then reads the last value.",
        instead="Pass the value: `ctx.run(name, fn, item)`, `lambda item=item: ...`, or a parameter of the branch.",
        wrong="""\
@orchestrator
def survey(ctx, sides: list[str]):
    yield from ctx.task_all([ctx.run(side, lambda: measure(side)) for side in sides])
""",
        right="""\
@orchestrator
def survey(ctx, sides: list[str]):
    yield from ctx.task_all([ctx.run(side, measure, side) for side in sides])
""",
    ),
    Rule(
        code="DC412",
        name="waits for a slot of its own limit",
        what="An orchestrator marked `@orchestrator(limit=LIMIT)` that calls an activity or a sub-orchestration with "
        "the same `LIMIT`, or `ctx.slot(LIMIT)`. Only limits with one key and a concurrency or each are looked at.",
        why="It holds a slot to its end. When such orchestrators hold all slots, each waits for another one, for ever. "
        "Calls of activities and `ctx.slot` are refused at run time.",
        instead="A limit of its own for the calls, or the limit for the calls alone.",
        wrong="""\
BANK = Limit(name="bank", concurrency=2)


@activity(limit=BANK)
def transfer(amount): ...


@orchestrator(limit=BANK)
def order(ctx, amount: int):
    yield from ctx.call_activity(transfer, amount)
""",
        right="""\
BANK = Limit(name="bank", concurrency=2)
ORDERS = Limit(name="orders", concurrency=10)


@activity(limit=BANK)
def transfer(amount): ...


@orchestrator(limit=ORDERS)
def order(ctx, amount: int):
    yield from ctx.call_activity(transfer, amount)
""",
    ),
)
