"""Labs for tests: clouds of many hosts, with their clients and their instances."""
