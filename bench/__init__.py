"""How fast it is: each measurement starts what it needs, measures, and leaves nothing behind."""
