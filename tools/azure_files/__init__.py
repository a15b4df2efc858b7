"""Checks of the files that deploy an app to Azure, without Azure: Bicep, azure.yaml, the workflow, the constraints."""
