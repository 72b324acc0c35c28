"""The newest moves in the page server's memory, shared by all its readers: filled once, kept up by what is stored."""
