"""Templates of everyday text; see `trainer.builtin.everyday`."""
