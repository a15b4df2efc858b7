"""The function app: what Azure and the local host index. Your code lives in ``orchestrators`` and ``activities``."""

import azure.functions as func

import activities
import orchestrators
from durable_core import Registry
from durable_core.hosting.functions import Durable

durable = Durable(Registry.scan(orchestrators, activities))

app = func.FunctionApp()
app.register_functions(durable.blueprint())
