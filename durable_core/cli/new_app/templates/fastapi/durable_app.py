"""What the functions and the HTTP routes share: the orchestrators and activities, and the client of their task hub."""

from durable_core import Registry
from durable_core.hosting.functions import Durable

import activities
import orchestrators

durable = Durable(Registry.scan(orchestrators, activities))
