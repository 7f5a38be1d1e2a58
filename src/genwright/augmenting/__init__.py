"""A training set enlarged or balanced with the examples of a model, and whether that helps.

selection    synthetic examples of each class, less those that are invalid, copies, or of another class
downstream   the model that a label is predicted with
trial        whether more examples help it, beside those of plain augmentation and of SMOTE
enlarged     all of this together, and the files
"""
