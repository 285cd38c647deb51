"""How a node starts: cloud-init, rendered by a pure function from `NodeBoot`."""
