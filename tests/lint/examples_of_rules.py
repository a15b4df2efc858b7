"""What the examples of the rules leave out: their imports, and the functions they call."""

PRELUDE = """\
import os
import random
import secrets
import subprocess
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from durable_core import ActivityFailedError, Limit, activity, orchestrator


@activity
def charge(amount): ...
@activity
def send_mail(text): ...
@activity
def store(value): ...
@activity
def copy_table(): ...
@activity
def is_ready(): ...
@activity
def ask_manager(amount): ...
@activity
def run_make(target): ...
def measure(side): return 1
def charge_card(reference, amount): ...


"""
