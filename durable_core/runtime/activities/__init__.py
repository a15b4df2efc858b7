"""Running activities: from a work message to a reported result."""
