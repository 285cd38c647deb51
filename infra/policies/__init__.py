"""What must never be deployed: rules as functions, and the policy pack that Pulumi runs."""
