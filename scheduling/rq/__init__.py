"""The only door to RQ: signed jobs out, our own entry points in."""
