"""Names of the hub's tables and queues, and the form of every row key. ``docs/storage.md`` shows the whole picture.

One partition of the instances table belongs to one instance. Its row keys begin with a letter that sorts them:

    a{execution}-{sha256}-{part}                 payload row: what is too large for its place
    b{execution}-{generation}-{task}             heartbeat row: the progress of a running activity
    h{execution}-{generation}-{first seq}        chunk row: older commits of a generation
    a{execution}-used-{nonce}                    marker: a callback's URL was used
    i{ulid}                                      inbox row: an external event or a management request
    iE{digest}                                   inbox row of an event whose sender may send it again
    z                                            instance row: state and the newest commits

so that one range read from ``i`` on gives all that a turn needs.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..errors import ConfigurationError, InvalidInputError
from ..instance_ids import HALF_PAIR
from ..instance_ids import MAX_INSTANCE_ID as MAX_INSTANCE_ID
from ..instance_ids import check_instance_id as check_instance_id

FORMAT = 1
"""Version of the rows' and messages' form. A host that meets a higher one leaves the instance alone."""

INSTANCE_KEY = "z"
LIVE_RANGE = "i"  # from here on: inbox and instance row
CHUNK_END = "i"

MAX_QUEUE_NAME = 63
MAX_TEXT = 4_000  # characters of a reason
MAX_TAGS = 16_000  # bytes of JSON of all tags together: a property of UTF-16 holds them

_REPEATABLE = "iE"

_LAST_MS = 9_999_999_999_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class HubNames:
    """What a task hub is called in the storage account. ``own_queues``: those that activities ask for."""

    hub: str
    partitions: int
    own_queues: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for queue in self.own_queues:
            if len(name := f"{self.work_of(queue)[0]}-poison") > MAX_QUEUE_NAME:
                raise ConfigurationError(
                    f"queue '{queue}' makes the storage queue '{name}', longer than the {MAX_QUEUE_NAME} characters "
                    "that Azure allows: shorten its name, or the hub's (DURABLE_HUB)"
                )

    @property
    def instances(self) -> str:
        return f"{self.hub}Instances"

    @property
    def catalog(self) -> str:
        return f"{self.hub}Catalog"

    @property
    def timers(self) -> str:
        return f"{self.hub}Timers"

    @property
    def control(self) -> list[str]:
        return [f"{self.hub.lower()}-control{self._suffix(i)}" for i in range(self.partitions)]

    @property
    def work(self) -> list[str]:
        """The queues of activities that have no queue of their own."""
        return self.work_of("")

    def work_of(self, queue: str) -> list[str]:
        """The queues of activities with ``queue=`` so."""
        middle = f"-{queue}" if queue else ""
        return [f"{self.hub.lower()}-work{middle}{self._suffix(i)}" for i in range(self.partitions)]

    @property
    def all_work(self) -> dict[str, list[str]]:
        """Every work queue, by the ``queue=`` of its activities, '' first."""
        return {queue: self.work_of(queue) for queue in ("", *self.own_queues)}

    @property
    def tables(self) -> list[str]:
        return [self.instances, self.catalog, self.timers]

    def work_queue_of(self, name: str) -> str | None:
        """The ``queue=`` that a storage queue of this name serves; None if it is no work queue."""
        return next((queue for queue, names in self.all_work.items() if name in names), None)

    @property
    def queues(self) -> list[str]:
        return [*self.control, *(name for names in self.all_work.values() for name in names)]

    @property
    def poison_queues(self) -> list[str]:
        return [f"{queue}-poison" for queue in self.queues]

    def _suffix(self, index: int) -> str:
        return "" if self.partitions == 1 else f"-{index:02}"


def shard_of(instance_id: str, partitions: int) -> int:
    """The partition of an instance; stable over processes and versions."""
    if partitions == 1:
        return 0
    return int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:4], "big") % partitions


def check_text(text: str, what: str) -> None:
    """InvalidInputError for what is too long for its property, or no text: half a surrogate pair."""
    if len(text) > MAX_TEXT:
        raise InvalidInputError(f"{what} has at most {MAX_TEXT:,} characters, this one has {len(text):,}")
    if HALF_PAIR.search(text):
        raise InvalidInputError(f"{what} must not hold half a surrogate pair, which is no character")


def check_tags(tags: Mapping[str, str] | None) -> None:
    """InvalidInputError for tags that are no texts, or too many."""
    if tags is not None and not isinstance(tags, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"tags are texts by name: {{'customer': 'c-1'}}, say; not {tags!r}")
    for name, value in (tags or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"tags are texts by name; {name!r} is {value!r}")
    if tags and len(json.dumps(dict(tags))) > MAX_TAGS:
        raise InvalidInputError(
            f"tags take at most {MAX_TAGS:,} bytes of JSON together; longer data belongs into the input"
        )


def chunk_key(execution_id: str, generation: int, first_seq: int) -> str:
    return f"{chunk_prefix(execution_id, generation)}{first_seq:010}"


def chunk_prefix(execution_id: str, generation: int) -> str:
    return f"h{execution_id}-{generation:08}-"


def payload_key(execution_id: str, digest: str, part: int) -> str:
    return f"a{execution_id}-{digest}-{part:04}"


def heartbeat_key(execution_id: str, generation: int, task_id: int) -> str:
    return f"b{execution_id}-{generation:08}-{task_id:010}"


def event_key(execution_id: str, event_id: str) -> str:
    """The inbox key of an event with an id of its sender's: the same at every try, so that it is delivered once."""
    digest = hashlib.sha256(f"{execution_id}/{event_id}".encode()).hexdigest()
    return f"{_REPEATABLE}{digest[:25].upper()}"


def is_repeatable(inbox_key: str) -> bool:
    """Whether the row of this key may be written again after it was consumed. A ULID begins with a digit."""
    return inbox_key.startswith(_REPEATABLE)


def marker_key(execution_id: str, nonce: str) -> str:
    """The row that says that a one-use URL was used; collected with the execution's payloads."""
    return f"a{execution_id}-used-{nonce}"


def after_prefix(prefix: str) -> str:
    """The upper bound of the range of keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def epoch_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def inverted_ms(moment: datetime) -> str:
    """Thirteen digits that sort newest first. What they cannot say is the first or the last moment that they can:
    1970, or the year 2286."""
    return f"{_LAST_MS - min(max(epoch_ms(moment), 0), _LAST_MS):013}"


def from_inverted_ms(digits: str) -> datetime:
    """The moment of ``inverted_ms``. ValueError."""
    return _EPOCH + timedelta(milliseconds=min(max(_LAST_MS - int(digits), 0), _LAST_MS))


def iso(moment: datetime) -> str:
    """UTC with microseconds and ``Z``; sorts as text."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[:26] + "Z"  # without the offset


def from_iso(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Ids:
    """Random identifiers: they must differ, and are no secrets. Seeded, they repeat: simulations need that."""

    def __init__(self, source: random.Random | None = None) -> None:
        # Seeded by the system once: asking it for every id gives up the GIL each time, which costs a busy host dearly.
        self._random = random.Random() if source is None else source

    def execution_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def commit_id(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def instance_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def unit(self) -> float:
        return self._random.random()

    def ulid(self, now: datetime) -> str:
        """26 characters that sort by time, then at random."""
        number = epoch_ms(now) << 80 | self._random.getrandbits(80)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
