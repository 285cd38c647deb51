"""One file, one component: a group of Azure resources and its frozen arguments."""
