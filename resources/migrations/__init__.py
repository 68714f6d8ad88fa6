"""Changes of the access database, one module each in `versions`; `resources/access_database.py` runs what is missing."""
