"""The function app: what Azure and the local host index. Your code lives in ``orchestrators``, ``activities``, ``api``.

The routes of FastAPI are behind one function of the ordinary kind. Do not add azurefunctions-extensions-http-fastapi:
an app that streams by it can have no other routes, and Azure would find no function at all.
"""

import logging

import azure.functions as func

from api import api
from durable_app import durable

logging.getLogger("azure").setLevel(logging.WARNING)  # else two lines for each storage request, in Azure

app = func.FunctionApp()
app.register_functions(durable.blueprint())

asgi = func.AsgiMiddleware(api)


@app.function_name("web")
@app.route(
    route="{*path}",
    methods=[func.HttpMethod.GET, func.HttpMethod.POST, func.HttpMethod.PUT, func.HttpMethod.DELETE],
    auth_level=func.AuthLevel.FUNCTION,
)
async def web(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await asgi.handle_async(req, context)
