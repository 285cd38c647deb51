"""A Ray cluster of containers on this machine's Docker Engine."""
