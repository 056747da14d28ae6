"""What is compared: plans of trials, and our ways of training them; those of others are in `benchmarks.peers`."""
