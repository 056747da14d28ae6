"""Reaching MLflow.

connection    a client that waits out outages, and says in one sentence what is wrong
environment   what MLflow reads from the environment; experiments: the sweep's experiment
inspection    whether a store can be used, before anything is made; server: one on this machine
holders       whose sweep has a name already; rights: what a server will let a sweep do
"""
