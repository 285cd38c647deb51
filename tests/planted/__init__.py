"""Planted defects: mistakes that a change could make, and the tests that must catch each.

They are data, one file per area. `make mutants` plants them one by one in a copy of the checkout
and runs the tests that they name; it reports which are caught, by which test, and which are not.
"""
