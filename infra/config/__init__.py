"""What the cluster shall be: typed settings, VM sizes, addresses, ports. Data and pure functions."""
