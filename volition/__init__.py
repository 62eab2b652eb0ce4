"""Volition: from sensor to sentence, real-time biosignal graphs in YAML."""

__version__ = "0.1.0"
