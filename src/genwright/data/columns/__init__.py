"""Scalar values of any modality: types of columns, how they are found, and how they are written."""
