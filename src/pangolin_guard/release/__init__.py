"""The release room: may a new model take the place of the old one?

Enters: two bundles, a dataset folder, benchmark suites. Leaves: a decision with its reasons, and
with `update` a new bundle made from newly seen attacks. Everything it knows of models it asks of
the training, benchmark and serving rooms.
"""
