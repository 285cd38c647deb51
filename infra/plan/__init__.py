"""What the programs would do, without an account: they run, and nothing is created."""
