"""The shells: they do what the core decides. All I/O is here."""
