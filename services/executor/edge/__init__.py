"""HTTP in and out: reads what a visitor sends, asks the worker that owns the session, shows what it replies."""
