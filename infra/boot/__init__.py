"""How a node boots: cloud-init, rendered by a pure function from `NodeBoot`."""
