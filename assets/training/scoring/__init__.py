"""Trained models at work: export to other runtimes, and answers for many texts."""
