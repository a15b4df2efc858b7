"""One turn of one instance, its files in the order of the steps: from a message to what is sent."""
