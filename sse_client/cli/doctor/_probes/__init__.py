"""More requests: which ones (`plan`), and what their responses show beside the first (`contrast`, `resume`)."""
