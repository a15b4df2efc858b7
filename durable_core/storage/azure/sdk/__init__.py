"""The ports over the SDKs' own clients: cold operations, and every operation where the settings ask for it."""
