"""What the trainer computes on: chips, the compiler, memory of the host, and Keras on JAX.

chips          the chips of a worker: whose slots, whose part of the base model
compilation    compiled programs, kept on disk
host_memory    what a process on a CPU keeps, and gives back
keras_backend  the only place that imports Keras and KerasHub

Nothing is imported here: how a process is to be started is known without JAX.
"""
