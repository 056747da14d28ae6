"""The engine: many adapters in one compiled step on one frozen base model.

pack            slots, ticks, who joins and leaves: the engine that a worker drives
slot_states     what the slots carry on the chips: adapters, moments, hyperparameters
occupant        who sits in a slot; lanes: which slots step together
order           buckets and phases: which examples, in which order
step, loss      the compiled step, and its cross-entropy; blocks: KerasHub's layers, traced once a kind
evaluation, generation    what a trial is scored by, and what it replies
data_on_device  token sets where they are computed with
sizes, call_sizes         how much at once; memory: whether it fits

Nothing is imported here: sizes and memory are known without JAX.
"""
