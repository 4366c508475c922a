"""The resources of the Networking API as declarations: what they have, who may set it, what it means.

One module per family. Validation, policy, filters, sorting, paging, table columns and the reference
documentation all derive from these declarations.
"""
