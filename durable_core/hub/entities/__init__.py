"""The storage protocol of entities: their rows, mailboxes and catalogue rows. ``docs/storage.md`` shows them."""
