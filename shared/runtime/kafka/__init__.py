"""Kafka: the consumer, the producer, and the checks on topics before either starts."""
