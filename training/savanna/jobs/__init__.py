"""Jobs on a cluster, through Ray's Jobs API. Importing this is cheap."""
