"""The command endpoints: a body comes in, a command goes to the bus, its outcome goes out."""
