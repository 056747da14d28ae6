"""What measures: paired timing, peaks of memory, counts of compilations and calls, and what is written of them."""
