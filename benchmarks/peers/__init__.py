"""`make bench-peers`: our MADDPG on simple_spread beside that of other libraries, in one run.

`main` runs the candidates one after the other. What a peer's own process needs is `process`,
`clock`, `world` and its adapter; they import nothing of ours but each other, because they run in
the peer's environment.
"""
