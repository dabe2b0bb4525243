"""The demonstration: a company that does not exist, its data, and the whole loop run over them.

Invariant: everything in here is generated; no real person, address, account or mail domain is used.
"""
