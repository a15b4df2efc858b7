"""The app as the next release would have it."""

from __future__ import annotations

import azure.functions as func

from durable_core import Registry
from durable_core.hosting.functions import Durable
from tests.replay.programs import ACTIVITIES, collect, count_changed, parent, pinned_2

app = func.FunctionApp()
app.register_functions(Durable(Registry().add(*ACTIVITIES, count_changed, collect, parent, pinned_2)).blueprint())
