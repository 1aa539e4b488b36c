"""The four care services, and outlet. Each owns its own store and meets the others only on Kafka."""
