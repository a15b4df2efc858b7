"""How fast durable_core is on this machine: ``python -m benchmarks``. Ships with the project, not with the package."""
