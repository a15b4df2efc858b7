"""The ports over the service's own protocol: the operations of every turn, at a fraction of the SDK's work."""
