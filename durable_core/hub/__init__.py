"""The storage protocol: how instances, inboxes, catalogue, timers, payloads and messages are laid out in rows."""
