"""What the cluster will be: settings, VM sizes, addresses, ports. Data and pure functions."""
