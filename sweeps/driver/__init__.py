"""One run of a sweep: Ray Tune in the middle, the ledger and MLflow on either side.

driver               `run_sweep`, from the claim to the result
steering             all that happens to a trial: ledger, MLflow and progress say the same
searcher, scheduler  Tune's two interfaces, translated; tuning: Tune, set up to hold nothing
monitor              the second thread: claim, budget, workers; desk: what other processes ask
budget               what a sweep may use up
reconcile            makes MLflow say what the ledger says; withdrawal: takes a launch back that is refused

Nothing is imported here: `driver` alone decides when Ray comes in.
"""
