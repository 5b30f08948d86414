"""The version of the package, for the package itself and for the build."""

__version__ = "0.1.0"
