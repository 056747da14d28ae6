"""The Ray actors that train, the light trials that sit in them, and what they write.

pool           starts, watches and replaces workers; sharing: how many a sweep may have on a shared cluster
worker         the actor: one accelerator, one engine; tenancy: its line, its seats
engine         what a worker drives, an interface: pack_factory builds the real one, rehearsal one without a model
trial_client   a Tune trial: takes a seat, passes reports on; reports: what it may hear
recorder       writes to MLflow behind the engine's back; outbox: its queue
gauges         a worker's figures, for the board and Ray's dashboard

Nothing is imported here: a trial's process needs `reports` alone, and has no model in it.
"""
