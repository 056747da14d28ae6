"""This machine: its accelerators, its Ray, its files, processes and signals.

accelerators   what there is to compute with, and its memory
local_ray      a Ray of our own, started and ended with the sweep; ray_internals: the names of Ray that are not public
data_files     data at an address, fetched once; node_cache: where such things are kept
interrupts     Ctrl-C: drain, then end; processes: whether one lives
secret_files   passwords from files
temporary      folders that go away; user_home: a home where there is none
"""
