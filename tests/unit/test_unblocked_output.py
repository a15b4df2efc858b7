"""Output for which nobody waits: a pipe that is full, or whose reader is gone, holds up no one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from durable_core.cli import output
from durable_core.cli.output import OutputThread, UnblockedStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def read_until(reading: int, end: bytes) -> bytes:
    found = b""
    while end not in found:
        found += os.read(reading, 65536)
    return found


def test_what_is_written_arrives_in_order_and_before_the_writer_goes_on(pipe: tuple[int, int]) -> None:
    thread = OutputThread(pipe[1])
    for number in range(100):
        thread.write(b"%d\n" % number)
    thread.wait(60)
    assert os.read(pipe[0], 65536) == b"".join(b"%d\n" % number for number in range(100))


def test_a_full_pipe_holds_up_nobody_and_what_is_dropped_is_counted(pipe: tuple[int, int]) -> None:
    thread = OutputThread(pipe[1])
    line = b"x" * 999 + b"\n"
    lines = 3 * output.LIMIT // len(line)
    for _ in range(lines):  # with a writer that waits, this would never end
        thread.write(line)
    found = read_until(pipe[0], b"left out)\n")
    dropped = int(found.split(b"while: ")[1].split()[0])
    assert found.count(line) + dropped == lines
    assert dropped > 0
    thread.write(b"again\n")
    assert read_until(pipe[0], b"again\n").endswith(b"again\n")


def test_a_reader_that_is_gone_holds_up_nobody(pipe: tuple[int, int]) -> None:
    thread = OutputThread(pipe[1])
    os.close(pipe[0])
    for _ in range(10):
        thread.write(b"to nobody\n")
    thread.wait(60)


def test_a_pipe_that_another_process_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    thread = OutputThread(pipe[1])
    for _ in range(5):
        thread.write(b"y" * 100_000)
    thread.write(b"end")
    assert read_until(pipe[0], b"end") == b"y" * 500_000 + b"end"


def test_a_stream_sends_whole_lines_and_the_rest_when_it_is_flushed(pipe: tuple[int, int]) -> None:
    stream = UnblockedStream(sys.__stdout__, OutputThread(pipe[1]))  # pyright: ignore[reportArgumentType]
    print("a", 1, "\udcff", end="", file=stream)
    print("\nb", end="", file=stream)
    assert os.read(pipe[0], 100) == b"a 1 \\udcff\n"
    print(file=stream, flush=True)
    assert os.read(pipe[0], 100) == b"b\n"
    with pytest.raises(TypeError):
        stream.write(b"bytes")  # pyright: ignore[reportArgumentType]


PROGRAM = """
import os, sys
from durable_core.cli.output import unblock_output

unblock_output()
print("one")
print("two", file=sys.stderr)
print("three", end="")
if sys.argv[1] == "crash":
    print()
    os._exit(3)
print("four", end="", file=sys.stderr)
raise SystemExit(5)
"""


@pytest.mark.parametrize(("how", "code", "said"), [("crash", 3, "one\ntwo\nthree\n"), ("end", 5, "one\ntwo\n")])
def test_a_process_that_crashes_or_ends_has_said_all_that_it_printed(how: str, code: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ran.returncode == code
    assert ran.stdout.startswith(said)
    assert how == "crash" or sorted(ran.stdout.removeprefix(said)) == sorted("threefour")


def test_streams_that_are_closed_stay_so() -> None:
    code = "import sys; sys.stdout = None; sys.stderr.close(); from durable_core.cli.output import unblock_output; "
    ran = subprocess.run(
        [sys.executable, "-c", f"{code} unblock_output(); sys.exit(sys.stdout is not None)"], check=False
    )
    assert ran.returncode == 0
