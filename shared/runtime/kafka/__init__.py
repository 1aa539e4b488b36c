"""Kafka: the consumer with its positions and offset commits, the producer, and the checks before either starts."""
