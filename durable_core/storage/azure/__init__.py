"""Tables and queues of an Azure storage account, or of Azurite."""
