"""Blueprints: durable functions in two modules, and in a plain function app beside a function of its own."""

import azure.functions as func
from greetings import greetings
from orders import orders

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(greetings)
app.register_functions(orders)


@app.route(route="health", methods=["GET"])
def health(req: func.HttpRequest) -> str:
    return "healthy"
