"""The telemetry: spans and metrics of streams."""
