"""The stand-in for compute: as much of Nova v2.1 as clients ask for. A real Nova can take its place."""
