"""What may happen: the business rules of each family, as plain functions over a transaction.

Every family module offers ``create(tx, context, bodies)``, ``update(tx, context, current, changes)`` and
``delete(tx, context, current)``; actions bear their names. ``reading`` finds and shows resources.
"""
