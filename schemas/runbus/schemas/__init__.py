"""Defines the wire format: Avro schemas, batches of steps, layouts of values, framing."""
