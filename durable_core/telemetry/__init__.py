"""Traces and metrics of an app: an observer of the runtime. OpenTelemetry is used where the app has set it up."""
