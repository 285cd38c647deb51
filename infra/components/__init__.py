"""One component per file: a group of Azure resources and its frozen arguments."""
