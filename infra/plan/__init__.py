"""What the programs would do, without an account: they run, but nothing is created."""
