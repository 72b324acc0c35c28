"""`movers backtest`: alert rules tried on a tape, or on what the store has kept."""
