"""Labeling: people and rules vote, consensus decides, the queue says what to ask next."""
