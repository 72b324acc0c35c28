"""The kernel: how any process of ours runs. `movers.cli` and `movers.stack` compose the rest."""
