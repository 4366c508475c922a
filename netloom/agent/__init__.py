"""The agent: feed to plan to host to report, over and over, until nothing differs."""
