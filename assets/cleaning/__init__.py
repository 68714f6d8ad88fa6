"""Cleaning: repair, rules and duplicates; what is refused is kept with its reason."""
