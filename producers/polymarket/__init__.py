"""Polymarket (international) over REST. README.md tells what is read and which traps were met."""
