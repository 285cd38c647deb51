"""`make bench-peers`: compares our MADDPG on simple_spread with other libraries' in one run.

`main` runs the candidates one after the other. `process`, `clock`, `world` and the adapters run in
the peers' environments, so they import nothing of ours except each other.
"""
