"""What to try next, and what to stop: Optuna's samplers and pruners, and ours.

methods          the sampler and pruner of a spec
point_samplers   a trial's point, drawn at once from its number and the ledger
halving          successive halving that judges together what reports together
"""
