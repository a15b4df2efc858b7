"""Rules about clocks, random numbers and ids: DC1xx and DC2xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_TIME = (
    Rule(
        code="DC101",
        name="reads the clock",
        what="`datetime.now()`, `datetime.utcnow()`, `date.today()`, `time.time()` and similar calls in orchestrator "
        "code.",
        why="The code runs again at every replay, and the clock then shows a different time. A condition or a due "
        "time that depends on it may differ from the history.",
        instead="`ctx.current_utc_datetime`, which is the same at every replay.",
        wrong="""\
@orchestrator
def remind(ctx):
    due = datetime.now(UTC) + timedelta(days=1)
    yield from ctx.create_timer(due)
""",
        right="""\
@orchestrator
def remind(ctx):
    due = ctx.current_utc_datetime + timedelta(days=1)
    yield from ctx.create_timer(due)
""",
    ),
    Rule(
        code="DC102",
        name="measures real time",
        what="`time.monotonic()`, `time.perf_counter()` and the other functions that measure time.",
        why="At a replay, steps that took hours take no time at all. In another process these clocks start at a "
        "different value.",
        instead="Differences of `ctx.current_utc_datetime`. To measure how long an activity takes, measure inside "
        "the activity.",
        wrong="""\
@orchestrator
def load(ctx):
    began = time.monotonic()
    yield from ctx.call_activity(copy_table)
    return time.monotonic() - began
""",
        right="""\
@orchestrator
def load(ctx):
    began = ctx.current_utc_datetime
    yield from ctx.call_activity(copy_table)
    return (ctx.current_utc_datetime - began).total_seconds()
""",
    ),
    Rule(
        code="DC103",
        name="depends on the machine's time zone",
        what="`datetime.fromtimestamp(x)` or `.astimezone()` without a time zone, `time.localtime(x)`, `time.mktime`.",
        why="An instance moves between machines, and their time zones and daylight saving rules may differ.",
        instead="An explicit time zone: `datetime.fromtimestamp(x, UTC)`, `.astimezone(ZoneInfo('Europe/Berlin'))`.",
        wrong="""\
@orchestrator
def greet(ctx, joined: float):
    if datetime.fromtimestamp(joined).hour < 12:
        yield from ctx.call_activity(send_mail, "Good morning")
""",
        right="""\
@orchestrator
def greet(ctx, joined: float):
    if datetime.fromtimestamp(joined, UTC).hour < 12:
        yield from ctx.call_activity(send_mail, "Good morning")
""",
    ),
)

RULES_OF_CHANCE = (
    Rule(
        code="DC201",
        name="draws random numbers",
        what="Functions of `random` and `numpy.random`, and `random.Random()` without a seed.",
        why="Every replay draws numbers that differ from those of the first run.",
        instead="`ctx.random`, a `random.Random` with a fixed seed for each instance. Your own `random.Random` with "
        "a fixed seed is allowed, too.",
        wrong="""\
@orchestrator
def draw(ctx, names: list[str]):
    winner = random.choice(names)
    yield from ctx.call_activity(send_mail, winner)
""",
        right="""\
@orchestrator
def draw(ctx, names: list[str]):
    winner = ctx.random.choice(names)
    yield from ctx.call_activity(send_mail, winner)
""",
    ),
    Rule(
        code="DC202",
        name="creates an id that differs at every replay",
        what="`uuid.uuid4()`, `uuid.uuid1()`, `uuid6` to `uuid8`, and packages that create ids.",
        why="The first run has already sent its id to other systems. After a replay the code holds a different id.",
        instead="`ctx.new_uuid()` (a string) or `ctx.new_guid()` (a `UUID`). `uuid.uuid5` of a fixed value is allowed.",
        wrong="""\
@orchestrator
def pay(ctx, amount: int):
    reference = str(uuid.uuid4())
    yield from ctx.call_activity(charge, [reference, amount])
    return reference
""",
        right="""\
@orchestrator
def pay(ctx, amount: int):
    reference = ctx.new_uuid()
    yield from ctx.call_activity(charge, [reference, amount])
    return reference
""",
    ),
    Rule(
        code="DC203",
        name="draws from the system's randomness",
        what="`secrets`, `os.urandom`, `random.SystemRandom`.",
        why="This randomness is designed so that it cannot be repeated. Orchestrator code must be repeatable.",
        instead="`ctx.run`: the value is drawn once and recorded in the history. Do not use `ctx.random` for "
        "secrets: its numbers can be guessed.",
        wrong="""\
@orchestrator
def invite(ctx, mail: str):
    token = secrets.token_urlsafe()
    yield from ctx.call_activity(send_mail, [mail, token])
""",
        right="""\
@orchestrator
def invite(ctx, mail: str):
    token = yield from ctx.run("token", secrets.token_urlsafe)
    yield from ctx.call_activity(send_mail, [mail, token])
""",
    ),
    Rule(
        code="DC204",
        name="a hash that differs from process to process",
        what="`hash(x)`.",
        why="In each process Python uses a different salt for the hash of strings and bytes, so the value changes "
        "when the instance moves to another process.",
        instead="`zlib.crc32(text.encode())` or `hashlib`.",
        wrong="""\
@orchestrator
def route(ctx, customer: str):
    shard = hash(customer) % 8
    yield from ctx.call_activity(store, [shard, customer])
""",
        right="""\
@orchestrator
def route(ctx, customer: str):
    shard = zlib.crc32(customer.encode()) % 8
    yield from ctx.call_activity(store, [shard, customer])
""",
    ),
)
