"""Holds what every client of Kafka needs: settings, clients, topics, rights, and the nouns of the log."""
