"""Holds what a client of Kafka is: here, its errors by what to do next."""
