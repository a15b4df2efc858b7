"""The function app: what Azure and the local host index. Your code lives in ``orchestrators`` and ``activities``."""

import logging

import azure.functions as func
from durable_core import Registry
from durable_core.hosting.functions import Durable

import activities
import orchestrators

logging.getLogger("azure").setLevel(logging.WARNING)  # else two lines for each storage request, in Azure

durable = Durable(Registry.scan(orchestrators, activities))

app = func.FunctionApp()
app.register_functions(durable.blueprint())
