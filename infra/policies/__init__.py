"""What must never be deployed: rules as functions, and the pack that Pulumi runs."""
