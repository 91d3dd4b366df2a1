"""What services say to each other: topics, the envelope, and one module of messages for each topic family.

A message's contract is owned by the service that owns its topic (architecture §1). Names and versions travel in the
envelope, never as import paths.
"""
