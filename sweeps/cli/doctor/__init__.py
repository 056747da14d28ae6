"""`sweeps doctor`: checks, one after the other, each doubt with its fix.

doctor     the command; checks: the list of them; findings: what one finds
places     ledger, MLflow and the home; probes: Ray and JAX, each tried in a process of its own
"""
