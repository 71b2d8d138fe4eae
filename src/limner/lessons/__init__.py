"""Back-propagation laid open: the whole of it in NumPy, every derivative by hand, to be read from top to bottom.

    logistic.py   the smallest network: one layer and a loss
    network.py    layers that pass gradients back; a network is a list of them
    steps.py      what to do with a gradient: five optimizers, clipping, schedules
    adversaries.py   two networks against each other, on eight points of a ring

Nothing here is used by the rest of Limner; tests hold it against the real thing.
"""
