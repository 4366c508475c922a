"""The stand-in for images: as much of Glance v2 as clients ask for. A real Glance can take its place."""
