"""Planted defects: mistakes that a change could make, and which tests must catch each.

They are data, one file a room of the house. `make mutants` plants them one by one in a copy of the
checkout and runs the tests that are named; it says which are caught, by what, and which are not.
"""
