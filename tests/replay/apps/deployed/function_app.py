"""The app as it is deployed. Prints at import, as apps do: a verb's own output must stay what it is."""

from __future__ import annotations

import azure.functions as func

from durable_core import Registry
from durable_core.hosting.functions import Durable
from tests.replay.programs import ACTIVITIES, collect, count, parent, pinned_1

print("the app is imported")
app = func.FunctionApp()
app.register_functions(Durable(Registry().add(*ACTIVITIES, count, collect, parent, pinned_1)).blueprint())
