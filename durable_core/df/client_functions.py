"""Client functions: the function that Azure calls in the place of a user's function with a client parameter.

The client parameter is no binding, because Azure would load the extension of Durable Functions for one. So the worker
must not see it: ``__signature__`` and ``__annotations__`` leave it out, and the return annotation, which the worker
would check, as well. The function that replaces a plain one has a parameter ``context``: log lines of a thread belong
to an invocation only by it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import azure.functions as func

from ..errors import RegistrationError
from ..hosting.functions import Durable
from ..hosting.invocations import working_for
from ..runtime.threads import for_a_thread
from ..signatures import location_of
from .client import DurableOrchestrationClient

CONTEXT = "context"
"""The name of the parameter by which the worker passes the context of an invocation."""


def with_client(user_code: Callable[..., Any], parameter: str, durable: Callable[[], Durable]) -> Callable[..., Any]:
    """The function that calls ``user_code`` with a client as ``parameter``; ``client_function`` is the user's function.

    A plain function runs in a thread. ``durable`` is called at each invocation: the app may not be complete before.
    Raises RegistrationError if the function has no such parameter.
    """
    signature = inspect.signature(user_code)
    if parameter not in signature.parameters:
        raise RegistrationError(
            f"{location_of(user_code)}: the function '{user_code.__name__}' has no parameter '{parameter}', which "
            "durable_client_input names as client_name"
        )
    is_async = inspect.iscoroutinefunction(user_code)
    adds_context = not is_async and CONTEXT not in signature.parameters

    @wraps(user_code)
    async def on_invocation(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        kwargs[parameter] = DurableOrchestrationClient(durable(), loop)
        if is_async:
            return await user_code(*args, **kwargs)
        context = kwargs.pop(CONTEXT, None) if adds_context else kwargs.get(CONTEXT)
        with working_for(context):
            returned = await loop.run_in_executor(None, for_a_thread(partial(user_code, *args, **kwargs)))
            return await returned if inspect.isawaitable(returned) else returned

    shown = [each for each in signature.parameters.values() if each.name != parameter]
    if adds_context:
        shown.append(inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, default=None))
    function: Any = on_invocation
    function.__signature__ = signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)
    annotations = inspect.get_annotations(user_code)
    function.__annotations__ = {k: v for k, v in annotations.items() if k not in (parameter, "return")}
    if adds_context:
        function.__annotations__[CONTEXT] = func.Context
    if hasattr(function, "__annotate__"):  # Python 3.14: annotations would be computed again from the user's function
        function.__annotate__ = None
    function.client_function = user_code
    return on_invocation
