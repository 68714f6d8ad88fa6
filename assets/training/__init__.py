"""Training: fine-tune, compare, report, promote."""
