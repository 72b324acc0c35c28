"""What `bench feeds` is made of: its command, the sender, the collector, the ceiling."""
