"""How the product behaves when there is more of everything: instances, hosts, steps."""
