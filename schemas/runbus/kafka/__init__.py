"""What a client of Kafka is: its settings, its clients, the topics and rights, and the nouns of the log."""
