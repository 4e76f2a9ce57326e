"""The network, its training and its checkpoint. Whatever is in here, a model was trained with."""
