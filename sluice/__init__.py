"""The command line, and all services in one process: nothing else imports more than one of them."""
