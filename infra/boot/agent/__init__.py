"""What a node asks of Azure, with Python's standard library alone: nothing is installed at boot.

Runs on the nodes as the package `agent` under the OS image's own Python (3.10 or later), its
settings in the environment (/etc/savanna/node.env).
"""
