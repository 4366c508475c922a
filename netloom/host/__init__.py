"""What a host looks like, and how to change it: one driver per kernel subsystem.

Every driver observes reality and changes only differences. Each module says how a restarted agent recognises
what is ours; what is ours and unwanted is swept, and nothing else is ever touched.
"""
