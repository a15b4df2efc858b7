"""The doors: Azure Functions triggers, the HTTP API, the local host."""
