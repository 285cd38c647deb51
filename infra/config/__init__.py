"""What the cluster shall be: settings, VM sizes, addresses, ports. Data and pure functions."""
