__version__ = "0.5.15.post1"
