"""Orchestrators in the style of Durable Functions."""

import random
import time
from datetime import datetime

import azure.durable_functions as theirs

import durable_core.df as df

app = df.DFApp()
blueprint = theirs.Blueprint()


@app.function_name("Main")
@app.orchestration_trigger(context_name="context")
def main(context):
    if datetime.now().hour < 12:  # expect: DC101
        yield context.call_activity("morning")
    context.call_activity("lost", 1)  # expect: DC401
    time.sleep(1)  # expect: DC306
    return random.random()  # expect: DC201


@blueprint.orchestration_trigger(context_name="c", orchestration="Other")
def other(c: theirs.DurableOrchestrationContext):
    yield c.create_timer(datetime.utcnow())  # expect: DC101


@app.activity_trigger(input_name="value")
def activity(value):
    return time.time(), random.random()
