"""Turn a real table into the best dataset to train on."""
__version__ = "0.1.0"
