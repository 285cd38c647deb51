from container_cluster import cluster  # noqa: F401 (a fixture)
