"""`make up`, `make down` and their like: thin wrappers of the `pulumi` and `az` commands."""
