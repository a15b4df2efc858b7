"""Parts of ``azure.durable_functions.models.utils`` that apps import."""
