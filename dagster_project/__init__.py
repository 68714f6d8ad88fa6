"""Assembly: what runs where. `definitions.py` first; no data logic belongs here."""
