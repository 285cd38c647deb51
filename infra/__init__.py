"""The cluster as code: on one machine's Docker Engine (`infra.local`) and on Azure."""
