"""A task hub served inside another program: its listeners on that program's event loop, the API as an ASGI app."""
