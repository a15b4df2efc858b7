"""The entry points: Azure Functions triggers, the HTTP API, the local host."""
