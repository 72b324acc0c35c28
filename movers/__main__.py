"""`python -m movers` is the same as the console script `movers`."""

from movers.cli import main

main()
