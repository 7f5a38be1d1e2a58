"""genwright: a person's own data in, a generative model they can trust out."""

__version__ = "0.1.0"
