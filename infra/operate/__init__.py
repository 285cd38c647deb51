"""`make up`, `make down` and others: thin wrappers around the `pulumi` and `az` commands."""
