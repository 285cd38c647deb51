"""Ray's worker processes as forks of a process that has imported RLlib. Importing this is cheap."""
