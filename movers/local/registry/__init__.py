"""A schema registry on loopback: the REST subset that clients use."""
