"""What each host must know: fragments, who is interested in them, and the stream to the agents."""
