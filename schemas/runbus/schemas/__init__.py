"""The wire format: Avro schemas, the codec, the topics. Everything else in RunBus stands on it."""
