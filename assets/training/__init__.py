"""Training: fine-tune, compare, report, promote. Here is the wiring, and the processes that it starts; the work is in the packages."""
