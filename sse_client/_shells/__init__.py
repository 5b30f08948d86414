"""The shells: they carry out the core's decisions. All I/O is here."""
