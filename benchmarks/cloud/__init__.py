"""What a hub reaches and costs on Azure: counted operations, Azure's published limits and prices."""
