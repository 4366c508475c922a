"""Intent at rest: tables, transactions, migrations, allocation, and the log of changes."""
