"""Where expressions run: worker processes that hold nothing, reach nothing and are replaced when they die."""
