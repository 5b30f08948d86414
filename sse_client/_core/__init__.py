"""The core: it decides, and does nothing itself."""
