"""The management API as the verbs use it: over HTTP, or in this process on the storage of a hub."""
