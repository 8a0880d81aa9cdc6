"""The database backend of one machine; see base.py."""
