"""What `bench feeds` is made of: its command, the venues it makes up, the sender, the collector, the ceiling."""
