"""The top floor: the command line and the one-machine stack, which compose the rest."""
