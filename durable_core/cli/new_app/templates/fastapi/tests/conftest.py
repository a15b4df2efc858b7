"""The tests of the routes keep their task hub in memory."""

import os

os.environ["DURABLE_STORE"] = ":memory:"
