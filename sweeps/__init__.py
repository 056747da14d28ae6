"""Sweeps of LoRA fine-tunes: the spec, the ledger, Ray Tune, workers and the command line.

Optuna steers through one ledger, MLflow keeps, Ray computes and holds nothing that matters.
"""
