"""The ledger: the one record of what was asked, reported, pruned and finished.

ledger          `Ledger`, an Optuna study underneath; trial_record: what one trial, or the sweep, is read as
studies         a new study, and the list of all; storage: the database by its URL
patience, patient_storage, outages   an outage of the database is waited out
claim           who may write: one driver at a time; sole_writer: what that one need not read again
by_hand         what a trial counts with that a person has stopped
requests        what other processes ask of a sweep; carrying_out: how it is done, once
live_note       what the workers do now, for who watches from elsewhere

Nothing is imported here: a worker needs `outages` alone, and Optuna takes half a second.
"""
