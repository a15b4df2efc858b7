"""The version of durable_core."""

VERSION = "0.1.0"
