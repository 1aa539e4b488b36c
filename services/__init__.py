"""The four domain services. Each owns its own store and meets the others only on Kafka."""
