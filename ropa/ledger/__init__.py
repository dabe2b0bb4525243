"""The ledger: an append-only, signed record of what was planned, approved and done, without personal data.

``store`` writes it, ``verify`` judges it, ``proof`` shows one record's place in it, ``export`` hands it over.
Invariant: this room knows nothing of databases or rules; batch keys are given to it as arguments and never kept.
"""
