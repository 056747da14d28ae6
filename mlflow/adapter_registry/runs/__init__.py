"""What a sweep writes: its run, its trials' runs, and all that is in them.

tracking         the interface and its values; mlflow_tracker writes to MLflow, memory_tracker only remembers
run_store        runs found before they are made; run_files: their files; provenance: tags that say what made them
metric_queue     metrics, batched and repeated until they are taken; spool: what waits, on disk
adapter_files    an epoch's adapter and its manifest; checkpoints, samples: the other files of a trial
system_metrics   the machine's own
"""
