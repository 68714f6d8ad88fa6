"""Many trainings of one data set: the search for settings, the learning curve, the ablation."""
