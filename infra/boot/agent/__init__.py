"""A node's calls to Azure, with only Python's standard library: nothing is installed at boot.

Runs on the nodes as the package `agent` under the OS image's own Python (3.10 or later), with its
settings in the environment (/etc/savanna/node.env).
"""
