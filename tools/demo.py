"""``make run``: real orchestrations that survive a ``kill -9``, with live progress, and then a host to play with.

It starts the local host as a child process and drives it from outside, over HTTP, as any caller would.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tools.host_process import PROJECT, DemoHost, HostFailedError

BASE = "/api/durabletask"
POLL = 0.1  # seconds
PATIENCE = 180.0  # seconds; on Azurite a killed host's leases must run out
SHOP = PROJECT / ".durable" / "shop.db"
COLOURS = {"Completed": "green", "Failed": "red", "Terminated": "red", "Running": "cyan", "Pending": "yellow"}


class DemoError(Exception):
    """Something did not go as it must; the text says what."""


@dataclass
class Instance:
    """One orchestration instance, as the demo last saw it."""

    id: str
    orchestrator: str
    status: str = "-"
    steps: int = 0
    planned: int = 0
    detail: Any = None
    output: Any = None

    @property
    def is_done(self) -> bool:
        return self.status in ("Completed", "Failed", "Terminated")


@dataclass
class Demo:
    """Drives one host through the story that the terminal shows."""

    host: DemoHost
    console: Console
    instances: list[Instance] = field(default_factory=list[Instance])
    headline: str = ""

    def play(self, run: str) -> None:
        order = Instance(f"order-{run}", "order")
        words = Instance(f"words-{run}", "word_count")
        self.console.print(f"Watch it in the dashboard: {self.host.url}{BASE}/ui/\n", soft_wrap=True)
        with Live(console=self.console, get_renderable=self._picture, refresh_per_second=10):
            self._say("An order is paid, reserved, confirmed and shipped; then it waits for its delivery.")
            self._start(order, order_body(order.id))
            self._watch(lambda: order.detail is not None)
            self._say("All texts of docs/ are counted in parallel.")
            self._start(words, {"folder": "docs", "chunk_files": 1})

            self._say(f"kill -9 {self.host.pid}: the host is dead. Nothing runs, nothing is lost.")
            self.host.kill9()
            time.sleep(1.0)  # for the eye
            self._say("A new host starts on the same store and goes on where the other one was killed ...")
            self.host.start()
            self._watch(lambda: words.is_done)
            self._say("The parcel arrives: the event DeliveryConfirmed is raised.")
            self._call("POST", f"/instances/{order.id}/raiseEvent/DeliveryConfirmed", {"signed_by": "Anna"})
            self._watch(lambda: order.is_done)
            for instance in (order, words):
                if instance.status != "Completed":
                    raise DemoError(f"{instance.id} is {instance.status}: {json.dumps(instance.output)}")
            self._say("Both have survived.")
        self._tell(order, words)

    def _say(self, headline: str) -> None:
        self.headline = headline
        if not self.console.is_terminal:  # nobody watches: a line for the log
            self.console.print(headline)

    def _tell(self, order: Instance, words: Instance) -> None:
        top = ", ".join(f"{word} ({n:,})" for word, n in words.output["top"][:5])
        self.console.print(
            f"[bold]What happened[/]\n"
            f"  order       {order.output['status']}, tracking id {order.output['tracking_id']};"
            f" charged {charges(order.id)} time(s), although its host was killed\n"
            f"  word_count  {words.output['words']:,} words in {words.output['files']} files; most frequent: {top}\n"
        )

    def _start(self, instance: Instance, body: Any) -> None:
        self.instances.append(instance)
        self._call("POST", f"/orchestrators/{instance.orchestrator}/{instance.id}", body)

    def _watch(self, holds: Any) -> None:
        give_up_at = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > give_up_at:
                raise DemoError(f"this takes longer than {PATIENCE:.0f} s: {self.headline}")
            for instance in self.instances:
                if not instance.is_done:
                    self._look(instance)
            time.sleep(POLL)

    def _look(self, instance: Instance) -> None:
        status = self._call("GET", f"/instances/{instance.id}?showHistory=true")
        events = [event["EventType"] for event in status.get("historyEvents") or []]
        instance.status, instance.output = status["runtimeStatus"], status["output"]
        instance.detail = status["customStatus"]
        instance.steps = events.count("TaskCompleted")
        instance.planned = max(events.count("TaskScheduled"), instance.steps)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.host.url + BASE + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            raise DemoError(
                f"{method} {path} answered {error.code}: {error.read().decode(errors='replace')}"
            ) from error
        except OSError as error:
            raise DemoError(f"{method} {path} got no answer: {error}") from error
        return json.loads(content) if content else None

    def _picture(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), expand=True)
        for column in ("instance", "orchestrator", "status", "activities done"):
            table.add_column(column, header_style="dim", no_wrap=True)
        table.add_column("", no_wrap=True, ratio=1)
        for instance in self.instances:
            detail = instance.output if instance.is_done else instance.detail
            table.add_row(
                instance.id,
                instance.orchestrator,
                Text(instance.status, style=COLOURS.get(instance.status, "")),
                f"{instance.steps} of {instance.planned}",
                Text(json.dumps(detail) if detail is not None else "", style="dim", overflow="ellipsis"),
            )
        if not self.console.is_terminal:  # the log has the headline already, and Live ends no line
            return Group(table, Text())
        return Group(Text(self.headline, style="bold"), table)


def order_body(order_id: str) -> Any:
    return {
        "order_id": order_id,
        "customer_email": "anna@example.com",
        "items": [{"sku": "book", "quantity": 1}],
        "payment": {"card": "4242424242424242", "amount": 42.5},
    }


def charges(order_id: str) -> int:
    """How often the shop has charged this order, from the shop's own books."""
    with closing(sqlite3.connect(SHOP)) as books:
        return int(books.execute("SELECT count(*) FROM payments WHERE order_id = ?", (order_id,)).fetchone()[0])


def things_to_try(url: str, run: str) -> list[tuple[str, str]]:
    """What to do, and the line that does it, in an order in which each works when pasted."""
    api, order = url + BASE, f"my-order-{run}"
    body = shlex.quote(json.dumps(order_body(order)))
    json_type = "-H 'Content-Type: application/json'"
    return [
        ("start an order", f"curl -s -X POST {api}/orchestrators/order/{order} {json_type} -d {body}"),
        ("see it wait, with its history", f"curl -s '{api}/instances/{order}?showHistory=true'"),
        (
            "report its delivery",
            f"curl -s -X POST {api}/instances/{order}/raiseEvent/DeliveryConfirmed {json_type} -d '{{}}'",
        ),
        ("see it completed", f"curl -s {api}/instances/{order}"),
        ("list all instances", f"curl -s {api}/instances"),
    ]


def main() -> int:
    arguments = parse_arguments()
    console = Console(highlight=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    run = time.strftime("%H%M%S")
    try:
        with ExitStack() as stack:
            env: dict[str, str] = {"SHOP_DB": str(SHOP)}
            if arguments.azurite:
                env["AzureWebJobsStorage"] = start_azurite(stack, console)
            log_file = PROJECT / ".durable" / "host.log"
            host = DemoHost(arguments.port, store=arguments.store, env=env, log_file=log_file)
            stack.callback(host.stop)
            console.print(f"Starting the local host on port {arguments.port}; its log: {log_file.relative_to(PROJECT)}")
            host.start()
            Demo(host, console).play(run)
            lines = "\n\n".join(f"[dim]# {what}[/]\n{line}" for what, line in things_to_try(host.url, run))
            console.print(Panel.fit("[bold]Try it[/] (paste into another terminal, one by one)", border_style="green"))
            console.print(lines, soft_wrap=True)
            console.print(f"\nServing on {host.url}. Ctrl-C stops everything.")
            console.print(f"[bold]The dashboard[/]: {host.url}{BASE}/ui/", soft_wrap=True)
            host.is_shown = True
            return host.wait()
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 0
    except (DemoError, HostFailedError) as error:
        console.print(Text(str(error), style="red"))
        return 1


def interrupt(*_: object) -> None:
    """However the demo is told to end, what it has started ends with it."""
    raise KeyboardInterrupt


def start_azurite(stack: ExitStack, console: Console) -> str:
    """Install Azurite where it is missing, start it, and return its connection string."""
    from durable_core.testing.azurite import Azurite

    console.print("Starting Azurite (installed at the first time) ...")
    return stack.enter_context(Azurite(PROJECT / ".azurite")).connection_string


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="port of the host's HTTP API")
    parser.add_argument("--store", help="path of the embedded store")
    parser.add_argument("--azurite", action="store_true", help="use an Azurite that is started here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
