"""HTTP in and out: seals what visitors send, shows what the worker replies."""
