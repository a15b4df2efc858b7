"""Rules about clocks, random numbers and ids: DC1xx and DC2xx."""

from __future__ import annotations

from .rule import Rule

RULES_OF_TIME = (
    Rule(
        code="DC101",
        name="reads the clock",
        what="`datetime.now()`, `datetime.utcnow()`, `date.today()`, `time.time()` and their like in "
        "orchestrator code.",
        why="The code runs again at every replay, and each time the clock says something else. A condition or "
        "a due time made of it goes another way than history did.",
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
        what="`time.monotonic()`, `time.perf_counter()` and the other stop-watches.",
        why="At a replay the steps that took hours take no time at all, and in another process the watch "
        "began elsewhere.",
        instead="Differences of `ctx.current_utc_datetime`; for how long an activity takes, measure inside it.",
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
        what="`datetime.fromtimestamp(x)` without a zone, `.astimezone()` without one, `time.localtime(x)`, "
        "`time.mktime`.",
        why="An instance moves between machines, whose zones and daylight saving rules may differ.",
        instead="A zone that you name: `datetime.fromtimestamp(x, UTC)`, `.astimezone(ZoneInfo('Europe/Berlin'))`.",
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
        why="Every replay draws other numbers than the run that made the history.",
        instead="`ctx.random`, a `random.Random` whose seed is the instance's own. A generator with a seed is "
        "fine, too.",
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
        name="makes an id that differs at every replay",
        what="`uuid.uuid4()`, `uuid.uuid1()`, the newer kinds, and packages that make ids.",
        why="The id that was sent out at the first run is forgotten: after a replay the code holds another one.",
        instead="`ctx.new_uuid()` (text) or `ctx.new_guid()`. `uuid.uuid5` of something fixed is fine.",
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
        why="It is made not to be repeatable; orchestrator code must be.",
        instead="`ctx.run`: the value is drawn once and kept in history. (`ctx.random` can be guessed: not for "
        "secrets.)",
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
        why="Python salts the hash of texts and bytes anew in each process, so the value changes when the "
        "instance moves on.",
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
