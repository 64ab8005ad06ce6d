"""Methods, networks and plug-ins as planning knows them, without importing torch."""
