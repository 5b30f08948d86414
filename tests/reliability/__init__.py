"""
The proof of reliability: many streams, many faults, much hostility, and the results, counted.

`python -m pytest tests/reliability` takes half a minute; `SSE_CLIENT_PROOF=long python -m pytest tests/reliability` is
the same tests with larger numbers, a quarter of an hour. Either prints a table at its end.
"""
